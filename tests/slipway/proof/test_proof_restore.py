"""A restore drill: the rule over writes and an instant, and the drill over databases that keep or lose writes."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.proof.restore import Recorder, RestoreDrill, Write, compare, restore_to
from slipway.proof.writer import Answer
from slipway.reports import Verdict

LOST = "acknowledged writes before the instant that are lost"
EXTRA = "writes after the instant that are there"


@st.composite
def histories(draw):
    """Writes with a true moment of commit between sending and acknowledgement, and an instant between its question."""
    asked = draw(st.floats(10, 90))
    answered = asked + draw(st.floats(0, 2))
    instant = draw(st.floats(asked, answered))
    writes, commits = [], {}
    for number in range(draw(st.integers(0, 30))):
        sent = draw(st.floats(0, 100))
        commit = sent + draw(st.floats(0.001, 3))
        acknowledged = commit + draw(st.floats(0.001, 3)) if draw(st.booleans()) else None
        writes.append(Write(f"m{number}", sent, acknowledged))
        commits[f"m{number}"] = commit
    return writes, commits, asked, answered, instant


@given(histories())
def test_a_true_restore_is_never_called_wrong(history):
    writes, commits, asked, answered, instant = history
    found = [mark for mark, commit in commits.items() if commit <= instant]
    it = compare(writes, found, asked=asked, answered=answered)
    assert it.wrong == 0
    assert it.promised + it.beyond + it.between == len(writes)


@given(histories(), st.data())
def test_each_lost_and_each_further_write_is_named(history, data):
    writes, commits, asked, answered, instant = history
    found = {mark for mark, commit in commits.items() if commit <= instant}
    promised = [it.mark for it in writes if it.acknowledged is not None and it.acknowledged < asked]
    beyond = [it.mark for it in writes if it.sent > answered]
    gone = set(data.draw(st.lists(st.sampled_from(promised), unique=True))) if promised else set()
    more = set(data.draw(st.lists(st.sampled_from(beyond), unique=True))) if beyond else set()
    it = compare(writes, [*(found - gone), *more], asked=asked, answered=answered)
    assert (set(it.lost), set(it.extra)) == (gone, more)


def test_what_is_there_twice_is_named():
    writes = [Write("a", 1.0, 2.0)]
    assert compare(writes, ["a", "a"], asked=3.0, answered=4.0).doubled == ("a",)


class Service:
    """Commits each write at once, at the clock's time."""

    def __init__(self, clock):
        self.clock, self.rows = clock, {}

    def connect(self):
        service = self

        class Client:
            def create(self, key, mark):
                service.rows.setdefault(mark, service.clock.steady())
                return Answer(201, key)

            def exists(self, identity, mark):
                return bool(identity) and mark in service.rows

            def marks(self, prefix):
                return [mark for mark in service.rows if mark.startswith(prefix)]

            def delete(self, identity):
                raise AssertionError(f"nothing is deleted in the running database, but {identity} was")

            def close(self):
                pass

        return Client()


class Databases:
    """A twin of both databases; `spoil` changes what a restore gives."""

    def __init__(self, clock, service, spoil=lambda marks, _rows: marks, breaks=False):
        self.clock, self.service, self.spoil, self.breaks = clock, service, spoil, breaks
        self.calls, self.fresh = [], None

    def base_backup(self):
        self.calls.append("base_backup")

    def instant(self):
        self.clock.passed += 0.2
        self.at = self.clock.steady()
        self.clock.passed += 0.2
        return self.clock.now().isoformat()

    def unarchived(self):
        return 42.0

    def archive(self):
        self.calls.append("archive")

    def restore(self, moment):
        if self.breaks:
            raise RuntimeError("the cluster refused")
        self.calls.append(f"restore {moment}")
        at = getattr(self, "at", float("inf"))
        kept = [mark for mark, when in self.service.rows.items() if when <= at]
        self.fresh = self.spoil(kept, self.service.rows)

    def restored(self):
        self.clock.passed += 30
        return self.fresh is not None

    def marks(self, prefix):
        return [mark for mark in self.fresh if mark.startswith(prefix)]

    def newest(self):
        return (self.clock.now() - timedelta(hours=1)).isoformat()

    def replace(self, mark, by):
        self.fresh = [by if it == mark else it for it in self.fresh]

    def remove(self):
        self.calls.append("remove")
        self.fresh = None


class Paced:
    """Real time for writers in threads, fast: a second of the drill is a tenth of one."""

    def __init__(self):
        self.passed, self.begun = 0.0, time.monotonic()

    def steady(self):
        return 1000.0 + (time.monotonic() - self.begun) * 10 + self.passed

    def now(self):
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.steady())

    def wait(self, seconds):
        time.sleep(seconds / 10)


def drilled(tmp_path, monkeypatch, **kinds):
    monkeypatch.setattr("slipway.proof.restore._RATE", 400.0)
    # Half a second is left for the writes after the instant, on a machine that does other things too.
    monkeypatch.setattr("slipway.proof.restore._ENOUGH", 10)
    clock = Paced()
    service = Service(clock)
    databases = Databases(clock, service, **kinds)
    drill = RestoreDrill(databases, service.connect, clock, tmp_path, lambda _text: None)
    return drill, databases


def test_a_drill_passes_on_a_true_restore_and_cleans_up_before_and_after(tmp_path, monkeypatch):
    drill, databases = drilled(tmp_path, monkeypatch)
    report = drill.run(20)
    assert report.verdict is Verdict.PASS, report.bars
    assert databases.calls[0] == databases.calls[-1] == "remove"
    assert databases.calls.index("archive") < next(i for i, it in enumerate(databases.calls) if "restore" in it)
    assert report.figures["rpo_seconds"] == 20
    assert report.figures["rto_seconds"] >= 30


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda marks, _rows: marks[:9] + marks[10:], LOST),
        (lambda marks, rows: [*marks, list(rows)[-1]], EXTRA),
        (lambda marks, _rows: [*marks, marks[9]], LOST),
    ],
    ids=["one lost", "not stopped at the instant", "one doubled"],
)
def test_a_drill_fails_on_a_restore_that_is_not_that_instant(tmp_path, monkeypatch, spoil, what):
    drill, _ = drilled(tmp_path, monkeypatch, spoil=spoil)
    report = drill.run(20)
    assert report.verdict is Verdict.FAIL
    assert [bar.what for bar in report.bars if bar.holds is False] == [what]


def test_what_was_made_is_removed_also_if_the_restore_breaks(tmp_path, monkeypatch):
    drill, databases = drilled(tmp_path, monkeypatch, breaks=True)
    with pytest.raises(RuntimeError, match="refused"):
        drill.run(5)
    assert databases.calls[-1] == "remove"


@pytest.mark.parametrize(("hours", "verdict"), [(0, Verdict.PASS), (2, Verdict.FAIL)])
def test_a_restore_to_a_moment_fails_if_something_newer_came_back(hours, verdict):
    clock = Paced()
    databases = Databases(clock, Service(clock))
    report = restore_to(databases, clock, clock.now() - timedelta(hours=hours), lambda _text: None)
    assert report.verdict is verdict
    assert databases.calls[-1] == "remove"


def test_asking_again_makes_a_write_no_younger():
    clock = Paced()
    recorder, service = Recorder(clock), Service(clock)
    client = recorder.around(service.connect)()
    client.create("k", "m")
    (before,) = recorder.writes()
    clock.passed += 10
    client.create("k", "m")
    assert recorder.writes() == (before,)
