"""The decision core as a state machine: hypothesis chooses what happens, the invariants watch, and it always ends."""

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollout_faults import NATURES, Schedule, settled
from rollout_world import Nature, advance_controller, image, kill, observe

from slipway.rollout.decide import decide
from slipway.rollout.observation import Rollout, Write
from slipway.rollout.spec import Order
from slipway.rollout.status import Colour


class RolloutMachine(RuleBasedStateMachine):
    """Two controllers and everything that may come between their steps."""

    @initialize(seed=st.integers(0, 1000), nature=st.sampled_from(NATURES))
    def start(self, seed: int, nature: Nature) -> None:
        self.schedule = Schedule(seed)
        self.schedule.rate, self.schedule.restless = 0.0, False
        self.world = self.schedule.world
        self.schedule.until_settled(60)
        self.world.natures[self.world.wanted().hash] = Nature()
        self.world.respec(image=image(2))
        self.world.natures[self.world.wanted().hash] = nature

    @rule(which=st.integers(0, 1), times=st.integers(1, 12))
    def controller_goes_on(self, which: int, times: int) -> None:
        for _ in range(times):
            advance_controller(self.world, self.schedule.controllers[which], self.schedule.make)
            self.world.advance(0.05)

    @rule(seconds=st.sampled_from((0.5, 2.0, 5.0)))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(seconds=st.integers(5, 40))
    def everything_goes_on(self, seconds: int) -> None:
        end = self.world.time + seconds
        while self.world.time < end:
            self.schedule.one_step()

    @rule(which=st.integers(0, 1))
    def controller_dies(self, which: int) -> None:
        kill(self.schedule.controllers[which])
        self.world.disturbed = self.world.time

    @rule(colour=st.sampled_from(Colour), seconds=st.floats(1, 10))
    def pods_crash(self, colour: Colour, seconds: float) -> None:
        self.world.crash_pods(colour, seconds)
        self.world.disturbed = self.world.time

    @rule(name=st.sampled_from(("haproxy-0", "haproxy-1")))
    def router_loses_updates(self, name: str) -> None:
        self.world.routers[name].stuck = True
        self.world.disturbed = self.world.time

    @rule(name=st.sampled_from(("haproxy-0", "haproxy-1")), seconds=st.floats(0.5, 5))
    def router_restarts(self, name: str, seconds: float) -> None:
        self.world.restart_router(name, seconds)
        self.world.disturbed = self.world.time

    @rule(seconds=st.floats(1, 12))
    def metrics_go_away(self, seconds: float) -> None:
        self.world.metrics_down_until = self.world.time + seconds

    @precondition(lambda self: self.world.status.candidate is not None)
    @rule()
    def someone_aborts(self) -> None:
        candidate = self.world.status.candidate
        assert candidate is not None
        self.world.respec(abort=Order(revision=candidate.hash, by="erin"))

    @precondition(lambda self: bool(self.world.status.gate) and self.world.status.candidate is not None)
    @rule()
    def someone_approves(self) -> None:
        candidate = self.world.status.candidate
        assert candidate is not None
        self.world.respec(approve=Order(revision=candidate.hash, by="ada", gate=self.world.status.gate))

    @rule(number=st.integers(1, 3))
    def another_version_is_wanted(self, number: int) -> None:
        self.world.respec(image=image(number))

    @invariant()
    def deciding_again_decides_the_same(self) -> None:
        world = self.world
        rollout = Rollout("payload", "dev", "u", world.generation, str(world.version), world.spec, world.status)
        seen = observe(world, rollout, world.epoch)
        first = decide(rollout, seen, world.time)
        assert decide(rollout, seen, world.time) == first
        if isinstance(first, Write):
            assert first.status != world.status, "a write that changes nothing would be written for ever"

    def teardown(self) -> None:
        if hasattr(self, "schedule"):
            self.schedule.until_settled(400)
            assert settled(self.world)


RolloutMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRolloutMachine = RolloutMachine.TestCase
