"""Ten thousand random schedules of two controllers, and the proof that the simulation would notice a mistake."""

from collections import Counter
from dataclasses import replace

import pytest
from rollout_faults import Outcome, Schedule
from rollout_invariants import Broken
from rollout_world import Controller, Nature, SimulatedPorts, World, perform

from slipway.rollout import after, analysis, colours, desired
from slipway.rollout.analysis import Measurement
from slipway.rollout.context import Context
from slipway.rollout.desired import missing
from slipway.rollout.loop import Conflict
from slipway.rollout.observation import Action, Observation, Rollout, SetConsumers
from slipway.rollout.status import Phase, Reason, RolloutStatus, Verdict

SCHEDULES = 10_000
CHUNKS = 40
DEFECT_TRIES = 600


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_schedule_breaks_an_invariant_or_gets_stuck(chunk: int) -> None:
    size = SCHEDULES // CHUNKS
    ends: Counter[Phase] = Counter()
    for seed in range(chunk * size, (chunk + 1) * size):
        schedule = Schedule(seed)
        try:
            ends[schedule.run().phase] += 1
        except Broken as broken:
            raise AssertionError(f"seed {seed}: {broken}\n" + "\n".join(schedule.world.log[-30:])) from broken
    assert sum(ends.values()) == size
    assert ends[Phase.DONE] > size / 20
    assert ends[Phase.ROLLED_BACK] > size / 20


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = Schedule(11), Schedule(11)
    assert first.run() == second.run()
    assert first.world.log == second.world.log


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("nature", "phase", "reason"),
    [
        (Nature(), Phase.DONE, Reason.NONE),
        (Nature(migration=3), Phase.DONE, Reason.NONE),
        (Nature(starts_in=6.0), Phase.DONE, Reason.NONE),
        (Nature(errors=0.2), Phase.ROLLED_BACK, Reason.ANALYSIS_FAILED),
        (Nature(crashes=True), Phase.ROLLED_BACK, Reason.CRASH_LOOP),
        (Nature(workers_crash=True), Phase.ROLLED_BACK, Reason.CRASH_LOOP),
        (Nature(chokes=True), Phase.ROLLED_BACK, Reason.CRASH_LOOP),
        (Nature(migration=4), Phase.ROLLED_BACK, Reason.MIGRATION_UNSAFE),
        (Nature(samples=0.0), Phase.ROLLED_BACK, Reason.PAUSE_TIMEOUT),
        (Nature(samples=10.0), Phase.ROLLED_BACK, Reason.PAUSE_TIMEOUT),
    ],
)
def test_without_faults_a_version_ends_as_it_deserves(
    seed: int, nature: Nature, phase: Phase, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout_faults.NATURES", (nature,))
    schedule = Schedule(seed)
    schedule.rate, schedule.restless = 0.0, False
    outcome = schedule.run()
    assert (outcome.phase, outcome.reason) == (phase, reason)


# -- planted defects: each changes one thing, in the tests only, and the schedules above must notice -----------------


class ActsBeforeItsIntentIsWritten(SimulatedPorts):
    seen: Observation | None = None

    async def look(self, rollout: Rollout, epoch: int) -> Observation:
        self.seen = await super().look(rollout, epoch)
        return self.seen

    async def write(self, rollout: Rollout, status: RolloutStatus, event: str) -> None:
        assert self.seen is not None
        for action in missing(Context(replace(rollout, status=status), self.seen, self.now())):
            try:
                perform(self.world, action)
            except Conflict:
                break
        await super().write(rollout, status, event)


class TimersStartAnewWithEachController(SimulatedPorts):
    async def read(self) -> Rollout | None:
        rollout = await super().read()
        assert rollout is not None
        status = rollout.status
        first = self.controller.memory.setdefault(("since", status.phase, status.since), self.world.time)
        late = first - status.since
        moved = {
            name: getattr(status, name) + late for name in ("until", "deadline") if getattr(status, name) is not None
        }
        metrics = tuple(replace(metric, next_at=metric.next_at + late) for metric in status.metrics)
        return replace(rollout, status=replace(status, metrics=metrics, **moved))

    async def write(self, rollout: Rollout, status: RolloutStatus, event: str) -> None:
        await super().write(rollout, status, event)


class TakesNoAnswerForZero(SimulatedPorts):
    async def look(self, rollout: Rollout, epoch: int) -> Observation:
        seen = await super().look(rollout, epoch)
        answers = {name: Measurement(found.value or 0.0, 0.0, 1000.0) for name, found in seen.measurements.items()}
        return replace(seen, measurements=answers)


class TakesMadePodsForReadyOnes(SimulatedPorts):
    async def look(self, rollout: Rollout, epoch: int) -> Observation:
        seen = await super().look(rollout, epoch)
        colours = {colour: replace(view, ready=view.replicas) for colour, view in seen.colours.items()}
        return replace(seen, colours=colours)


class DoesNotCompareBeforeItSwaps(SimulatedPorts):
    def __init__(self, world: World, controller: Controller) -> None:
        super().__init__(world, controller)
        world.compare_and_swap = False


def skip_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "routers_agree", lambda self: self.annotated())


def promote_on_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = analysis.conclude

    def lenient(*arguments: object) -> Verdict:
        verdict = honest(*arguments)  # pyright: ignore[reportArgumentType] - passed on as they came
        return Verdict.PASS if verdict is Verdict.INCONCLUSIVE else verdict

    monkeypatch.setattr(analysis, "conclude", lenient)


def retire_before_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after, "emptied", lambda *_: True)
    monkeypatch.setattr(colours, "may_retire", lambda *_: True)


def let_the_candidate_consume(monkeypatch: pytest.MonkeyPatch) -> None:
    def eager(context: Context) -> tuple[Action, ...]:
        found, consumer = context.seen.switch, context.status.candidate or context.status.stable
        if found is None or consumer is None or found.colour is consumer.colour:
            return ()
        return (SetConsumers(consumer.colour, context.seen.epoch, found.version),)

    monkeypatch.setattr(desired, "consumers", eager)


def leave_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = desired.consumers
    monkeypatch.setattr(
        desired, "consumers", lambda context: () if context.seen.switch.colour is not None else honest(context)
    )


class ToldByHalf(SimulatedPorts):
    """The workers of the colour that is left are not told."""

    async def act(self, rollout: Rollout, action: Action) -> None:
        left = self.world.switch
        await super().act(rollout, action)
        if isinstance(action, SetConsumers) and left is not None and left is not action.colour:
            for worker in self.world.workers[left].made:
                worker.follows_at = float("inf")


PORTS = {
    "no compare-and-swap": DoesNotCompareBeforeItSwaps,
    "act before intent": ActsBeforeItsIntentIsWritten,
    "relative timer": TimersStartAnewWithEachController,
    "empty answer as zero": TakesNoAnswerForZero,
    "weight before ready": TakesMadePodsForReadyOnes,
    "both colours consume": ToldByHalf,
}
PATCHES = {
    "skipped read-back": skip_read_back,
    "promote on inconclusive": promote_on_inconclusive,
    "retire before drain": retire_before_drain,
    "candidate consumes": let_the_candidate_consume,
    "switch is left": leave_the_switch,
}


def first_break(make: type[SimulatedPorts] = SimulatedPorts) -> tuple[int, str] | None:
    for seed in range(DEFECT_TRIES):
        try:
            outcome = Schedule(seed, make=make).run()
        except Broken as broken:
            return seed, str(broken)
        assert isinstance(outcome, Outcome)
    return None


@pytest.mark.parametrize("defect", [*PORTS, *PATCHES])
def test_a_planted_defect_is_caught(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if defect in PATCHES:
        PATCHES[defect](monkeypatch)
    found = first_break(PORTS.get(defect, SimulatedPorts))
    assert found is not None, f"{defect!r} went unnoticed in {DEFECT_TRIES} schedules"
    print(f"{defect}: seed {found[0]}: {found[1]}")  # noqa: T201 - shown with -s
