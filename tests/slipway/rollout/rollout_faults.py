"""Random schedules: what goes wrong and when, and the run of two controllers through it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from rollout_invariants import Broken, Invariants
from rollout_world import Controller, Nature, SimulatedPorts, World, advance_controller, image, kill

from slipway.rollout.spec import Order
from slipway.rollout.status import Colour, Phase, Reason

FAULTS_FOR = 40.0
ENDS_WITHIN = 260.0
NATURES = (
    Nature(),
    Nature(migration=3),
    Nature(starts_in=6.0),
    Nature(errors=0.2),
    Nature(samples=0.0),
    Nature(samples=10.0),
    Nature(crashes=True),
    Nature(migration=4),
    Nature(migration=1),
    Nature(workers_crash=True),
    Nature(chokes=True),
)


@dataclass(frozen=True)
class Outcome:
    """How a schedule ended."""

    phase: Phase
    reason: Reason
    seconds: float
    steps: int
    aborted: bool
    nature: Nature


def settled(world: World) -> bool:
    """Whether the rollout has come to an end that needs nobody."""
    status = world.status
    if status.phase is Phase.PAUSED:
        return status.reason in {Reason.BREAK_GLASS, Reason.OPERATOR}
    wanted = world.wanted().hash
    if status.stable is not None and world.switch is not status.stable.colour:
        return False
    stable = status.stable.hash if status.stable is not None else ""
    if status.phase is Phase.DONE:
        return stable == wanted or status.rejects(wanted)
    return status.phase is Phase.ROLLED_BACK and status.candidate is None and status.rejects(wanted)


class Schedule:
    """One run. The same seed gives the same run."""

    def __init__(self, seed: int, *, make: Callable[[World, Controller], Any] = SimulatedPorts) -> None:
        self.random = Random(seed)  # noqa: S311 - schedules must be repeatable, not secret
        self.seed = seed
        self.make = make
        self.world = World(self.random)
        self.world.watchers.append(Invariants())
        self.controllers = [Controller("one"), Controller("two")]
        self.rate = self.random.choice((0.0, 0.01, 0.03, 0.08))
        self.restless = self.random.random() < 0.3
        self.next_kill = 0.0
        self.aborted = False
        self.steps = 0

    def run(self) -> Outcome:
        world = self.world
        self.until_settled(60.0)
        world.natures[world.wanted().hash] = Nature()
        for number in (3, 2):
            world.respec(image=image(number))
            world.natures[world.wanted().hash] = self.random.choice(NATURES)
        nature = world.nature(world.wanted().hash)
        world.lose = self.lose
        began = world.time
        while world.time < began + FAULTS_FOR:
            self.one_step()
            if self.random.random() < self.rate:
                self.fault()
        world.lose = lambda: ""
        self.until_settled(ENDS_WITHIN)
        return Outcome(world.status.phase, world.status.reason, world.time - began, self.steps, self.aborted, nature)

    def until_settled(self, seconds: float) -> None:
        world = self.world
        end = world.time + seconds
        while not settled(world):
            if world.time > end:
                raise Broken(f"not at its end after {seconds} s: {world.status.phase} {world.status.message}")
            self.one_step()

    def one_step(self) -> None:
        world = self.world
        self.steps += 1
        if self.restless and world.time >= self.next_kill:
            self.next_kill = world.time + 4.0 + self.random.random()
            for controller in self.controllers:
                kill(controller)
            world.lease_until = min(world.lease_until, world.time + 0.5)
        able = [found for found in self.controllers if found.stands_until <= world.time]
        busy = [found for found in able if found.running is not None or found.next_at <= world.time]
        if busy:
            advance_controller(world, self.random.choice(busy), self.make)
            world.advance(self.random.random() * 0.1)
            return
        wake = min((max(found.next_at, found.stands_until) for found in self.controllers), default=world.time)
        world.advance(max(0.01, min(1.0, wake - world.time)))

    def lose(self) -> str:
        chance = self.random.random()
        if chance < self.rate / 2:
            return "before"
        return "after" if chance < self.rate else ""

    def fault(self) -> None:  # noqa: C901, PLR0912 - one branch a kind of fault
        world, random = self.world, self.random
        kind = random.randrange(16)
        world.log.append(f"{world.time:.1f} fault {kind}")
        world.disturbed = world.time
        if kind == 0:
            kill(random.choice(self.controllers))
        elif kind == 1:
            random.choice(self.controllers).stands_until = world.time + random.random() * 20
        elif kind == 2:
            world.api_down_until = world.time + random.random() * 10
        elif kind == 3:
            world.metrics_down_until = world.time + random.random() * 15
        elif kind == 4:
            world.crash_pods(random.choice(list(Colour)), 1 + random.random() * 10)
        elif kind == 5:
            pods = world.pods[random.choice(list(Colour))]
            if pods.ready_at:
                pods.ready_at[0] = world.time + random.random() * 8
        elif kind == 6:
            world.routers[random.choice(list(world.routers))].stuck = True
        elif kind == 7:
            world.routers[random.choice(list(world.routers))].silent_until = world.time + random.random() * 12
        elif kind == 8:
            world.restart_router(random.choice(list(world.routers)), random.random() * 5)
        elif kind == 9:
            for controller in self.controllers:
                kill(controller)
            world.lease_until = world.time
        elif kind == 14:
            random.choice(self.controllers).stalls = True
        elif kind == 15:
            world.crash_workers(random.choice(list(Colour)), 1 + random.random() * 10)
        else:
            self.order(kind)

    def order(self, kind: int) -> None:
        world, random = self.world, self.random
        status = world.status
        revision = status.candidate or status.stable
        if revision is None:
            return
        if kind == 10:
            self.aborted = True
            world.respec(abort=Order(revision=revision.hash, by="erin"))
        elif kind == 11:
            world.respec(approve=Order(revision=revision.hash, by="ada", gate=status.gate or "resume-1"))
        elif kind == 12 and random.random() < 0.5:
            world.respec(image=image(random.choice((1, 2, 3))))
        elif kind == 13 and random.random() < 0.2:
            world.hand_weights(random.choice((0, 30, 100)), 50)
