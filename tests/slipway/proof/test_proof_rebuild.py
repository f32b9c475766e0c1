"""A rebuild drill: the rule over a journal and what came back, and the drill over estates that keep or lose writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.proof.ledger import Entry, Journal, State
from slipway.proof.rebuild import RebuildDrill, survival
from slipway.proof.writer import Answer
from slipway.reports import Verdict

LOST = "acknowledged writes before the newest restored one that are lost or doubled"
CONTROL = "control: a discarded acknowledged write is caught"
RPO = "RPO: age of the oldest acknowledged write that is gone"
RTO = "RTO: from the loss to the first write"


@st.composite
def histories(draw):
    """A journal, when each write was committed, and the moment up to which the archive had it."""
    events, commits = [], {}
    for number in range(draw(st.integers(0, 25))):
        mark, sent = f"m{number}", draw(st.floats(0, 100))
        commits[mark] = sent + draw(st.floats(0.001, 3))
        events.append((sent, Entry(mark, mark, State.SENT, at=sent)))
        if draw(st.booleans()):
            at = commits[mark] + draw(st.floats(0.001, 3))
            events.append((at, Entry(mark, mark, State.ACKNOWLEDGED, "id", at=at)))
    events.sort(key=lambda it: it[0])
    return [entry for _, entry in events], commits, draw(st.floats(0, 110))


@given(histories())
def test_an_archive_that_ends_early_has_no_holes(history):
    journal, commits, archived = history
    found = [mark for mark, commit in commits.items() if commit <= archived]
    it = survival(journal, found, 200.0)
    assert it.holes == ()
    acknowledged = {entry.mark: entry.at for entry in journal if entry.state is State.ACKNOWLEDGED}
    gone = [at for mark, at in acknowledged.items() if mark not in found]
    assert it.gone == len(gone)
    assert it.rpo == (200.0 - min(gone) if gone else 0.0)


@given(histories(), st.data())
def test_each_write_that_is_missing_before_a_later_one_is_named(history, data):
    journal, commits, archived = history
    found = {mark for mark, commit in commits.items() if commit <= archived}
    order = [(entry.mark, entry.state) for entry in journal]
    newest = max((n for n, (mark, state) in enumerate(order) if state is State.SENT and mark in found), default=-1)
    promised = [mark for mark, state in order[: max(newest, 0)] if state is State.ACKNOWLEDGED]
    keep = order[newest][0] if newest >= 0 else ""
    missing = set(data.draw(st.lists(st.sampled_from(promised), unique=True))) if promised else set()
    it = survival(journal, found - missing, 200.0)
    assert set(it.holes) == missing
    assert it.promised == len(promised)
    assert keep not in missing


def test_what_is_there_twice_is_named():
    journal = [Entry("a", "a", State.SENT), Entry("a", "a", State.ACKNOWLEDGED, "id")]
    assert survival(journal, ["a", "a"], 1.0).doubled == ("a",)


def test_the_journal_tells_when_each_line_was_written(tmp_path):
    journal = Journal(tmp_path / "j", lambda: 7.5)
    journal.add(Entry("a", "a", State.SENT))
    assert [it.at for it in journal.entries()] == [7.5]


class Estate:
    """A service that commits at once; what was committed up to `archived` seconds before its loss comes back."""

    def __init__(self, clock, *, archived=20.0, hole=0, deaf=0):
        self.clock, self.archived, self.hole, self.deaf = clock, archived, hole, deaf
        self.rows, self.calls, self.alive, self.fails = {}, [], True, False

    def base_backup(self):
        self.calls.append("base backup")

    def lose(self):
        self.calls.append("lose")
        self.alive = False
        end = self.clock.steady() - self.archived
        kept = [mark for mark, (at, _) in self.rows.items() if at <= end]
        self.rows = {mark: self.rows[mark] for mark in kept if mark not in kept[: self.hole]}
        if self.fails:
            raise KeyboardInterrupt

    def rebuild(self):
        self.calls.append("rebuild")
        self.clock.wait(300.0)
        self.alive = True

    def connect(self):
        return self

    def create(self, key, mark):
        if not self.alive:
            return Answer(0, error="ConnectError: ")
        if self.deaf and "lose" in self.calls:
            self.deaf -= 1
            return Answer(503)
        self.rows.setdefault(mark, (self.clock.steady(), key))
        return Answer(201, key)

    def exists(self, identity, mark):
        return bool(identity) and mark in self.rows

    def marks(self, prefix):
        return [mark for mark in self.rows if mark.startswith(prefix)]

    def delete(self, identity):
        self.rows = {mark: row for mark, row in self.rows.items() if row[1] != identity}

    def close(self):
        pass


class Pacing:
    """A clock whose time passes by itself too, quickly: writers are threads that wait for real."""

    def __init__(self, clock, monkeypatch):
        self.clock = clock
        monkeypatch.setattr(clock, "wait", self.wait)

    def wait(self, seconds):
        import time  # noqa: PLC0415 -- for this alone

        steps = 150
        for _ in range(steps):
            time.sleep(0.01)
            self.clock.passed += seconds / steps


@pytest.fixture
def drill(clock, tmp_path, monkeypatch):
    """Runs the drill over an estate; `kept` is what was to be remembered."""
    Pacing(clock, monkeypatch)
    monkeypatch.setattr("slipway.proof.rebuild._RATE", 400.0)
    kept = []

    def make(estate):
        made = RebuildDrill(estate, clock, tmp_path / "journals", lambda _text: None, kept.append)
        return made, kept

    return make


def bars(report):
    return {bar.what: bar for bar in report.bars}


def test_what_was_archived_comes_back_and_the_control_is_caught(drill, clock):
    estate = Estate(clock, deaf=2)
    made, kept = drill(estate)
    report = made.run(150.0)
    assert report.verdict is Verdict.PASS, report.bars
    assert estate.calls == ["base backup", "lose", "rebuild"]
    found = bars(report)
    assert found[LOST].measured == 0
    assert found[CONTROL].measured == "1"
    assert 15.0 < found[RPO].measured < 25.0
    assert found[RTO].measured >= 300.0
    assert len(kept) == 1


def test_a_hole_in_what_came_back_fails(drill, clock):
    report = drill(Estate(clock, hole=3))[0].run(150.0)
    assert report.verdict is Verdict.FAIL
    assert bars(report)[LOST].measured == 3
    assert bars(report)[CONTROL].holds


def test_an_archive_that_lags_fails_the_bar_of_rpo_alone(drill, clock):
    report = drill(Estate(clock, archived=100.0))[0].run(150.0)
    assert [bar.what for bar in report.bars if not bar.holds] == [RPO]


def test_nothing_that_comes_back_proves_nothing(drill, clock):
    report = drill(Estate(clock, archived=1000.0))[0].run(150.0)
    assert report.verdict is Verdict.FAIL
    assert bars(report)[CONTROL].holds is None
    assert bars(report)["writes before the newest restored one"].holds is False


def test_after_an_interruption_everything_is_judged_but_the_time(drill, clock):
    estate = Estate(clock)
    estate.fails = True
    made, kept = drill(estate)
    with pytest.raises(KeyboardInterrupt):
        made.run(150.0)
    again = drill(estate)[0].resume(kept[0])
    assert again.verdict is Verdict.INCONCLUSIVE
    found = bars(again)
    assert (found[LOST].holds, found[CONTROL].holds, found[RPO].holds, found[RTO].holds) == (True, True, True, None)
    assert estate.calls == ["base backup", "lose", "rebuild"]
