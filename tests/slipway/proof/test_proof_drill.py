from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.stream import Gap
from loadtests.verdict import ExitClass
from slipway.proof.bars import Limits, Taken, conclude, control_bar, measured_bars, outages, recoveries
from slipway.proof.drill import Drill, Runner, Shape
from slipway.proof.faults import Switch, UnhealedError
from slipway.proof.ledger import Finding
from slipway.reports import Bar, Verdict, write

ANSWERS = st.lists(st.sampled_from([True, False, None]), max_size=5)
BOOK = Finding(written=9, acknowledged=8, resolved=1, unknown=1, refused=0, lost=(), doubled=(), ghosts=())


def bars(answers, what="bar"):
    return [Bar(what=f"{what} {i}", measured=0, bar="0", holds=a) for i, a in enumerate(answers)]


@given(ANSWERS, st.lists(st.booleans(), max_size=3))
def test_without_a_control_that_failed_nothing_passes(answers, failed):
    controls = [control_bar(str(i), "x", failed_as_it_must=one) for i, one in enumerate(failed)]
    verdict = conclude(bars(answers), controls)
    assert (verdict is Verdict.FAIL) == (False in answers)
    assert (verdict is Verdict.PASS) == (all(answers) and bool(failed) and all(failed))


class World:
    """A drill over fakes: what it turned off and on, and a service that is ready unless told otherwise."""

    def __init__(self, plan, records, runner):
        self.steps, self.ready, self.plan, self.records = [], True, plan, records
        self.runner = runner

    def fault(self, number):
        assert self.records.wrote.wait(10) if self.ledger else True
        return Switch(f"fault {number}", *(lambda s=s: self.steps.append((s, number)) for s in ("off", "on")))

    def drill(self, *, ledger=True, protection=True, times=2, **limits):
        self.ledger = ledger
        return Drill(
            name="example",
            plan=self.plan,
            limits=Limits(**({"requests": 500, "lost": 0 if ledger else None} | limits)),
            shape=Shape(times=times, hold=3.0, recovered_within=30.0),
            next_fault=self.fault,
            ready=lambda: self.ready,
            connect=self.records.connect if ledger else None,
            without_protection=Switch("no protection", *self.switch()) if protection else None,
        )

    def switch(self):
        return (lambda: self.steps.append("unprotected")), (lambda: self.steps.append("protected"))


@pytest.fixture
def runner(clock, runs, tmp_path, account):
    return Runner(clock, runs.begin, tmp_path / "journals", account)


@pytest.fixture
def world(plan, records, runner):
    return World(plan, records, runner)


def test_a_control_may_have_faults_of_its_own(world):
    drill = replace(world.drill(times=1), unprotected=lambda number: world.fault(number + 10))
    world.runner.run(drill)
    assert world.steps == [("off", 0), ("on", 0), "unprotected", ("off", 10), ("on", 10), "protected"]


def test_it_is_told_what_is_done_and_what_is_waited_for(world, account):
    def fault(number):
        made = World.fault(world, number)
        # What a fault tells of its own steps is followed by what the drill waits for.
        return Switch(made.name, lambda: account.step("new certificates"), made.heal)

    assert world.runner.run(replace(world.drill(protection=False), next_fault=fault)).report
    told = account.told
    assert "fault 1 of 2: fault 0" in told
    assert told[told.index("new certificates") + 1] == "fault 0, for 3 s"
    assert told[told.index("fault 0: undoing it") + 1] == "waiting for all to be ready after fault 0"
    assert told[-1] == "control: a discarded acknowledged write is found lost"


def failing(good, **changes):
    return replace(good, **({"exit_class": ExitClass.FAIL, "failed": 7, "reasons": ("7 failed",)} | changes))


def holds(outcome):
    return {bar.what: bar.holds for bar in outcome.report.bars}


def test_a_drill_passes_when_its_bars_hold_and_its_controls_failed(world, runs, good, tmp_path):
    runs.outcomes[:] = [good, failing(good)]
    outcome = world.runner.run(world.drill())
    assert outcome.report.verdict is Verdict.PASS, outcome.report.bars
    assert world.steps == [
        ("off", 0), ("on", 0), ("off", 1), ("on", 1),
        "unprotected", ("off", 0), ("on", 0), ("off", 1), ("on", 1), "protected",
    ]  # fmt: skip
    assert len(runs) == 2
    assert runs[0].plan.min_requests == 500
    assert runs[1].plan.min_requests == 1
    assert outcome.taken.book.acknowledged > 0
    page = write(outcome.report, tmp_path / "reports", outcome.sections).with_suffix(".html").read_text()
    assert "fault 1" in page
    assert "must fail" in page


def test_faults_are_spread_over_the_load(world):
    outcome = world.runner.run(world.drill(ledger=False, times=4, requests=40_000))
    first, *others = outcome.taken.changed_at[::2]  # each fault is followed by its heal
    apart = 40_000 / world.plan.rate / 4
    assert [at - first for at in others] == pytest.approx([apart, 2 * apart, 3 * apart], abs=1.0)


def test_what_a_drill_needs_is_there_before_its_load_and_taken_away_after_it(world, runs):
    def note(step):
        return lambda: world.steps.append((step, len(runs)))

    drill = replace(world.drill(ledger=False, times=1), setting=Switch("a stage", note("set"), note("struck")))
    world.runner.run(drill)
    passes = [it for it in world.steps if it not in {"unprotected", "protected"}]
    assert passes == [
        ("set", 0), ("off", 0), ("on", 0), ("struck", 1), ("set", 1), ("off", 0), ("on", 0), ("struck", 2),
    ]  # fmt: skip


def test_what_a_drill_needs_is_taken_away_though_its_load_never_began(world, runs):
    def broken():
        raise OSError("no room to make it small")

    drill = replace(world.drill(ledger=False, protection=False), setting=Switch("a stage", broken, lambda: None))
    outcome = world.runner.run(drill)
    assert runs == []
    assert "no room to make it small" in str(outcome.report.bars[0].measured)


def test_a_control_that_shows_nothing_takes_the_proof_away(world):
    outcome = world.runner.run(world.drill())
    assert outcome.report.verdict is Verdict.INCONCLUSIVE
    assert holds(outcome)["control: failures show under no protection"] is None
    assert holds(outcome)["failed"] is True


def test_a_ledger_that_cannot_lose_takes_the_proof_away(world, runs, good, records):
    runs.outcomes[:] = [good, failing(good)]
    records.delete = lambda identity: None  # noqa: ARG005 -- a service that ignores it
    outcome = world.runner.run(world.drill())
    assert outcome.report.verdict is Verdict.INCONCLUSIVE
    assert holds(outcome)["control: a discarded acknowledged write is found lost"] is None


def test_a_drill_without_any_control_proves_nothing(world):
    outcome = world.runner.run(world.drill(ledger=False, protection=False))
    assert outcome.report.verdict is Verdict.INCONCLUSIVE


def test_failures_fail_whatever_the_controls_say(world, runs, good):
    runs.outcomes[:] = [failing(good)]
    outcome = world.runner.run(world.drill())
    assert outcome.report.verdict is Verdict.FAIL
    assert holds(outcome)["failed"] is False


def test_a_lost_write_fails(world, runs, good, records):
    runs.outcomes[:] = [good, failing(good)]
    records.next = ["lost"]
    outcome = world.runner.run(world.drill())
    assert outcome.report.verdict is Verdict.FAIL
    assert holds(outcome)["acknowledged writes lost or doubled"] is False


def test_what_is_never_ready_again_fails_and_stops(world, clock):
    drill = world.drill(ledger=False, protection=False)
    clock.on_wait.append(lambda: setattr(world, "ready", not world.steps))
    outcome = world.runner.run(drill)
    assert world.steps == [("off", 0), ("on", 0)]
    assert outcome.report.verdict is Verdict.FAIL
    assert "all to be ready after fault 0" in outcome.report.bars[0].measured


def test_a_load_that_ends_early_leaves_bars_without_an_answer(world, runs, clock):
    clock.on_wait.append(lambda: setattr(runs[0], "dies_at", clock.steady() if world.steps else None))
    outcome = world.runner.run(world.drill(ledger=False, protection=False))
    assert outcome.report.verdict is Verdict.INCONCLUSIVE
    assert {holds(outcome)["failed"], holds(outcome)["requests"]} == {None}
    assert runs[0].left
    assert "LoadEndedError" in str(outcome.report.bars[1].measured)


def test_a_fault_that_cannot_be_made_is_inconclusive_and_says_why(world):
    def broken(_number):
        raise LookupError("no ready pod")

    outcome = world.runner.run(replace(world.drill(ledger=False, protection=False), next_fault=broken))
    assert outcome.report.verdict is Verdict.INCONCLUSIVE
    assert "no ready pod" in str(outcome.report.bars[0].measured)


def test_what_cannot_be_healed_stops_everything(world, runs):
    def stuck():
        raise OSError("stuck")

    fault = Switch("cut", lambda: None, stuck)
    with pytest.raises(UnhealedError, match="cut could not be healed"):
        world.runner.run(replace(world.drill(ledger=False), next_fault=lambda _: fault))
    assert runs[0].left
    assert len(runs) == 1


def test_an_inconclusive_load_gives_no_answer(world, runs, good):
    runs.outcomes[:] = [failing(good, exit_class=ExitClass.INCONCLUSIVE, reasons=("k6 crashed",))]
    outcome = world.runner.run(world.drill(ledger=False))
    assert outcome.report.verdict is Verdict.INCONCLUSIVE
    assert "not run: k6 crashed" in [bar.measured for bar in outcome.report.bars]


def test_stalls_recovery_and_columns_have_bars(good):
    load = replace(good, read_gaps=(Gap(10, 22),), write_gaps=(Gap(10, 25), Gap(60, 62)), failed=3, unkeyed_failed=2)
    taken = Taken(2, load=load, book=BOOK, changed_at=[9.0, 59.0], ready_after=[1.0, 2.0])
    limits = Limits(requests=10, failed=None, unkeyed_failed=1, reads_stall=15, writes_stall=14, recovery=16, lost=0)
    found = {bar.what: (bar.measured, bar.holds) for bar in measured_bars(limits, taken)}
    assert found == {
        "every fault injected and recovered from": ("2 times", True),
        "requests": (3000, True),
        "failed without a key": (2, False),
        "reads stall": (12.0, True),
        "writes stall": (15.0, False),
        "recovery of writes": (16.0, True),
        "acknowledged writes lost or doubled": (0, True),
    }


def test_every_bar_stays_though_nothing_ran():
    limits = Limits(requests=10, reads_stall=1, writes_stall=1, recovery=1, lost=0)
    found = measured_bars(limits, Taken(1, error="it broke"))
    assert [bar.holds for bar in found] == [None] * 8
    assert all(str(bar.measured).startswith("not run") for bar in found)


def test_a_ledger_without_a_promise_proves_nothing(good):
    taken = Taken(1, load=good, book=replace(BOOK, acknowledged=0), ready_after=[1.0])
    assert measured_bars(Limits(requests=1, lost=0), taken)[-1].holds is None


def test_each_fault_is_judged_up_to_the_next():
    gaps, faults = [Gap(11, 13), Gap(30, 31)], [10.0, 29.5]
    assert recoveries(gaps, faults) == [1.5, 3.0]
    assert outages(gaps, faults) == [1.0, 2.0]
    assert recoveries([], []) == outages([], []) == []


def test_one_slow_recovery_of_twenty_is_let_pass_and_two_are_not(good):
    limits = Limits(requests=1, outage_p95=15)

    def judged(slow):
        gaps = tuple(Gap(60.0 * n, 60.0 * n + (40 if n < slow else 5)) for n in range(20))
        taken = Taken(20, load=replace(good, write_gaps=gaps), changed_at=[60.0 * n for n in range(20)])
        return {bar.what: (bar.measured, bar.holds) for bar in measured_bars(limits, taken)}["no write accepted, p95"]

    assert judged(1) == (5.0, True)
    assert judged(2) == (40.0, False)


def test_the_time_until_somebody_leads_again_has_a_bar_once_all_faults_were_made():
    limits = Limits(requests=1, led_again=10)
    for led_after, holds_ in (([1.0, 9.96], True), ([1.0, 12.0], False), ([1.0], None)):
        found = {bar.what: bar.holds for bar in measured_bars(limits, Taken(2, led_after=led_after))}
        assert found["somebody leads again"] is holds_


class Waiting:
    """Messages that wait: some until they are acted on, one that is held back."""

    def __init__(self, left, *, counts=True):
        self.left, self.held, self.counts = left, 0, counts

    def waiting(self):
        self.left = max(0, self.left - 1) if self.left < 99 else self.left
        return self.left + self.held * self.counts

    def hold_back(self):
        self.held = 1

    def let_go(self):
        self.held = 0


@pytest.mark.parametrize(
    ("messages", "verdict"),
    [
        (Waiting(5), Verdict.PASS),
        (Waiting(99), Verdict.FAIL),
        (Waiting(0, counts=False), Verdict.INCONCLUSIVE),
    ],
    ids=["delivered late", "never delivered", "not counted"],
)
def test_every_message_must_be_delivered_and_the_count_must_count(world, messages, verdict):
    drill = replace(world.drill(protection=False, undelivered=0), messages=messages, leads=lambda: True)
    outcome = world.runner.run(drill)
    assert outcome.report.verdict is verdict, outcome.report.bars
    assert holds(outcome)["control: a message that is held back is counted"] is (messages.counts or None)
    assert outcome.taken.led_after == [0.0, 0.0]
    assert messages.held == 0


def test_who_never_leads_again_ends_the_drill(world):
    drill = replace(world.drill(ledger=False, protection=False), leads=lambda: False)
    outcome = world.runner.run(drill)
    assert outcome.report.verdict is Verdict.FAIL
    assert "somebody to lead after fault 0" in outcome.report.bars[0].measured
    assert world.steps == [("off", 0), ("on", 0)]
