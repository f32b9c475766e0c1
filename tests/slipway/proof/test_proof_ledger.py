import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.proof.ledger import Entry, Journal, JournalError, State, judge, latest
from slipway.proof.writer import Answer, Ledger, control, read_back, settle

ENTRIES = st.lists(
    st.builds(
        lambda n, state: Entry(f"k{n}", f"m{n}", state, f"id{n}" if state is State.ACKNOWLEDGED else ""),
        st.integers(0, 8),
        st.sampled_from(State),
    ),
    max_size=30,
)


@given(ENTRIES)
def test_a_promise_is_never_taken_back(entries):
    promised = {entry.key for entry in entries if entry.state is State.ACKNOWLEDGED}
    assert {key for key, entry in latest(entries).items() if entry.state is State.ACKNOWLEDGED} == promised


@given(ENTRIES)
def test_every_write_is_in_exactly_one_column(entries):
    found = judge(entries, [], [])
    assert found.written == found.acknowledged + found.unknown + found.refused == len({e.key for e in entries})


@given(ENTRIES, st.sets(st.integers(0, 8)), st.sets(st.integers(0, 8)))
def test_lost_is_what_was_promised_and_is_not_there_both_ways(entries, listed, read):
    found = judge(entries, [f"m{n}" for n in listed], {f"id{n}" for n in read})
    promised = {e.key for e in latest(entries).values() if e.state is State.ACKNOWLEDGED}
    assert set(found.lost) == {key for key in promised if int(key[1:]) not in listed & read}


def test_doubles_are_found_under_any_state_and_ghosts_only_where_refused():
    entries = [
        Entry("a", "ma", State.ACKNOWLEDGED, "1"),
        Entry("b", "mb", State.UNKNOWN),
        Entry("c", "mc", State.REFUSED),
        Entry("d", "md", State.SENT),
    ]
    found = judge(entries, ["ma", "ma", "mb", "mb", "mc", "md"], {"1"})
    assert found.doubled == ("a", "b")
    assert found.ghosts == ("c",)
    assert found.lost == ()
    assert found.unknown == 2


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(201, "1"), State.ACKNOWLEDGED),
        (Answer(201), State.UNKNOWN),
        (Answer(200, "1"), State.UNKNOWN),
        (Answer(0, error="ConnectError"), State.UNKNOWN),
        (Answer(503), State.UNKNOWN),
        (Answer(500), State.UNKNOWN),
        (Answer(409), State.UNKNOWN),
        (Answer(429), State.UNKNOWN),
        (Answer(422), State.REFUSED),
        (Answer(400), State.REFUSED),
    ],
)
def test_only_a_created_is_a_promise_and_only_a_client_error_a_refusal(answer, state):
    entry = settle("k", "m", answer)
    assert entry.state is state
    assert bool(entry.why) == (state is not State.ACKNOWLEDGED)


def test_the_journal_survives_and_forgets_only_a_torn_last_line(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("slipway.proof.ledger.os.fsync", synced.append)
    path = tmp_path / "new" / "journal.jsonl"
    entries = (Entry("a", "ma", State.SENT), Entry("a", "ma", State.ACKNOWLEDGED, "1", resolved=True))
    journal = Journal(path)
    assert journal.entries() == ()
    for entry in entries:
        journal.add(entry)
    assert len(synced) == 2
    with path.open("a") as stream:
        stream.write('{"key": "b", "ma')
    assert Journal(path).entries() == entries
    with path.open("a") as stream:
        stream.write("\n")
        stream.write(json.dumps({"key": "c"}) + "\n")
    with pytest.raises(JournalError, match="line 3"):
        journal.entries()


def ledger(records, clock, tmp_path, **changes):
    return Ledger(records.connect, tmp_path / "journal.jsonl", rate=5000, clock=clock, writers=2, run="r", **changes)


def written(records, clock, tmp_path, *how):
    records.next = list(how)
    with ledger(records, clock, tmp_path) as book:
        while len(records.keys) < 10:
            assert records.wrote.wait(10)
    return book


def test_nothing_is_lost_when_nothing_is(records, clock, tmp_path):
    book = written(records, clock, tmp_path)
    found = book.close_book()
    assert found.acknowledged == found.written == len(records.keys) == book.written()
    assert (found.lost, found.doubled, found.unknown) == ((), (), 0)
    assert records.closed == 3


def test_an_acknowledged_write_that_is_gone_is_lost(records, clock, tmp_path):
    assert len(written(records, clock, tmp_path, None, "lost").close_book().lost) == 1


def test_unknown_outcomes_are_settled_with_the_same_key(records, clock, tmp_path):
    found = written(records, clock, tmp_path, "late", "torn", "refused").close_book()
    assert found.resolved == 2
    assert found.refused == 1
    assert found.unknown == 0
    assert found.doubled == ()


def test_a_service_that_does_the_write_twice_is_found_out(records, clock, tmp_path):
    book = written(records, clock, tmp_path)
    records.kept.append(("another", records.kept[0][1]))
    assert len(book.close_book().doubled) == 1


def test_what_stays_unknown_is_counted_and_ends_in_time(records, clock, tmp_path):
    book = written(records, clock, tmp_path, "torn")
    records.create = lambda key, mark: Answer(503)  # noqa: ARG005 -- the shape of a client
    found = book.close_book(resolve_within=10)
    assert found.unknown == 1
    assert clock.passed == pytest.approx(10, abs=0.3)


def test_a_replica_that_lags_is_given_time(records, clock, tmp_path):
    book = written(records, clock, tmp_path)
    late = records.kept.pop()
    clock.on_wait.append(lambda: records.kept.append(late) if clock.passed > 1 and late not in records.kept else None)
    assert book.close_book().lost == ()


def test_a_ledger_that_breaks_proves_nothing(records, clock, tmp_path):
    def create(_key, _mark):
        records.wrote.set()
        raise TypeError("a bug")

    records.create = create
    with ledger(records, clock, tmp_path) as book:
        assert records.wrote.wait(10)
    with pytest.raises(RuntimeError, match="the ledger broke: TypeError: a bug"):
        book.close_book()


def test_a_ledger_needs_a_journal_of_its_own_and_a_rate(records, clock, tmp_path):
    written(records, clock, tmp_path)
    with pytest.raises(ValueError, match="exists"):
        ledger(records, clock, tmp_path)
    with pytest.raises(ValueError, match="rate is 0"):
        Ledger(records.connect, tmp_path / "other", rate=0, clock=clock)


def test_the_control_finds_the_discarded_write(records, clock):
    assert len(control(records.connect, clock).lost) == 1


def test_the_control_finds_nothing_if_nothing_can_be_discarded(records, clock):
    records.delete = lambda identity: None  # noqa: ARG005 -- a service that ignores it
    assert control(records.connect, clock).lost == ()
    records.next = ["refused"]
    with pytest.raises(RuntimeError, match="only 2 of 3"):
        control(records.connect, clock)


def test_reading_back_nothing_is_no_loss(records, clock):
    assert read_back([], records, "x", clock).written == 0
