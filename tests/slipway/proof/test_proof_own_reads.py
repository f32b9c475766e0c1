import pytest

from slipway.proof.bars import Limits, Taken, measured_bars
from slipway.proof.drill import Drill, Runner, Shape
from slipway.proof.faults import Switch
from slipway.proof.own_reads import NoAnswerError, OwnReads, Reader, read_without_token
from slipway.proof.timeline import Timeline
from slipway.proof.writer import Answer
from slipway.reports import Verdict


class Slow:
    """A service that lets the test go on after some reads; `answer` says what each read shows of the last name."""

    def __init__(self, answer):
        self.answer, self.reads, self.names, self.deleted, self.closed = answer, 0, [], [], False

    def create(self, key, mark):
        assert mark == f"{key}@example.test"
        return Answer(201, "7")

    def rename(self, identity, name):
        assert identity == "7"
        self.names.append(name)
        return f"0/{len(self.names)}"

    def name_of(self, identity, token):
        assert (identity, token) == ("7", f"0/{len(self.names)}")
        self.reads += 1
        return self.answer(self.reads, self.names[-1])

    def delete(self, identity):
        self.deleted.append(identity)

    def close(self):
        self.closed = True


def read(service, until):
    with Reader(lambda: service) as reader:
        while not until():
            pass
    return reader.found()


def test_each_change_is_read_back_with_its_own_token():
    service = Slow(lambda _number, name: name)
    found = read(service, lambda: service.reads >= 3)
    assert found == OwnReads(service.reads, 0)
    assert len(set(service.names)) == len(service.names)
    assert (service.deleted, service.closed) == (["7"], True)


def test_an_older_name_is_missed_and_no_answer_is_neither():
    def answer(number, name):
        if number == 1:
            raise NoAnswerError("status 503")
        return name if number != 2 else "an older one"

    service = Slow(answer)
    assert read(service, lambda: service.reads >= 3) == OwnReads(service.reads - 1, 1)


def test_changes_that_were_not_acknowledged_are_not_read():
    service = Slow(lambda _number, _name: "")
    service.rename = lambda _identity, name: service.names.append(name) or ""
    assert read(service, lambda: len(service.names) >= 2) == OwnReads(0, 0)


@pytest.mark.parametrize("broken", ["name", "record"])
def test_a_reader_that_breaks_proves_nothing(broken):
    service = Slow(lambda _number, _name: 1 / 0)
    if broken == "record":
        service.create = lambda _key, _mark: Answer(503)
    with Reader(lambda: service) as reader:
        while not service.closed:
            pass
    with pytest.raises(RuntimeError, match=r"broke: (ZeroDivisionError|RuntimeError: no record.*503)"):
        reader.found()


def test_without_the_token_a_held_replica_shows_what_was_before(records, clock):
    def control(fault):
        return read_without_token(records.connect, fault, Timeline(clock))

    assert control(Switch("nothing", lambda: None, lambda: None)) == OwnReads(5, 0)
    assert control(Switch("hold", records.hold, records.free)) == OwnReads(5, 5)
    assert (records.kept, records.holding) == ([], False)


@pytest.fixture
def drill(plan, records):
    def make(fault):
        def next_fault(_number):
            assert records.wrote.wait(10)
            assert records.looked.wait(10)
            return fault

        return Drill(
            name="paused", plan=plan, limits=Limits(requests=1, missed=0, lost=0), shape=Shape(hold=3.0),
            next_fault=next_fault, ready=lambda: True, connect=records.connect, own=records.connect,
        )  # fmt: skip

    return make


@pytest.fixture
def held(records):
    return Switch("hold", records.hold, records.free)


@pytest.fixture
def runner(clock, runs, tmp_path, account):
    return Runner(clock, runs.begin, tmp_path / "journals", account)


def test_a_drill_reads_its_own_writes_and_its_control_misses(runner, drill, held):
    outcome = runner.run(drill(held))
    bars = {bar.what: bar for bar in outcome.report.bars}
    assert bars["reads that missed their own write"].holds
    assert bars["control: a read without its token misses the write"].measured == "5 of 5 missed"
    assert outcome.report.figures["own writes read back"]["read"] > 0
    assert outcome.report.verdict is Verdict.PASS


def test_a_control_that_misses_nothing_takes_the_proof_away(runner, drill):
    outcome = runner.run(drill(Switch("nothing", lambda: None, lambda: None)))
    assert outcome.report.bars[-1].measured == "0 of 5 missed"
    assert outcome.report.verdict is Verdict.INCONCLUSIVE


def test_a_control_that_breaks_has_no_answer(runner, drill, held, records):
    records.delete = lambda identity: {}[identity]
    last = runner.run(drill(held)).report.bars[-1]
    assert (last.measured.startswith("not run: KeyError"), last.holds) == (True, None)


def test_a_missed_own_write_fails(runner, drill, held, records):
    seen = records.name_of
    records.name_of = lambda identity, token: seen(identity, "") if not token else f"not {seen(identity, token)}"
    assert runner.run(drill(held)).report.verdict is Verdict.FAIL


def test_without_a_read_the_bar_has_no_answer():
    for own, why in ((OwnReads(0, 0), "no write was read back"), (None, "torn")):
        bar = measured_bars(Limits(requests=1, missed=0), Taken(1, own=own, error="torn"))[-1]
        assert (bar.holds, why in str(bar.measured)) == (None, True)
