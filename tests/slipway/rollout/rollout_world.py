"""A simulated cluster with virtual time: pods, routers, an API server, a lease, a metrics source, Jobs.

The controllers in it run the product's own `turn`, one step at a time, so that anything may happen between any two
steps. `World` only does what it is told; `rollout_faults.py` decides what goes wrong, `rollout_invariants.py` watches.
"""

import math
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from slipway.rollout import analysis
from slipway.rollout.analysis import Measurement
from slipway.rollout.context import Context
from slipway.rollout.desired import judged, preview_weights
from slipway.rollout.loop import Conflict, Turn, Unavailable, turn
from slipway.rollout.measure import window_of
from slipway.rollout.observation import (
    Action,
    Annotation,
    ApplyColour,
    ApplyWorkers,
    ColourView,
    JobView,
    Observation,
    Rollout,
    RouterView,
    RunJob,
    SetConsumers,
    SetPreview,
    SetWeights,
    Switch,
    Wanted,
    WorkersView,
)
from slipway.rollout.spec import Analysis, Canary, Metric, Migrations, RolloutSpec, Source, Step, Strategy, Workers
from slipway.rollout.status import Colour, RolloutStatus, Verdict
from slipway.rollout.weights import rebalance

LEASE = 8.0
WATCH_EVERY = 0.25
FOLLOWS_WITHIN = 6.0
"""Longest time in which a kubelet brings a turned switch to a pod."""
CRASHES_LOOP = 3.0
"""Seconds after which a kubelet gives up restarting at once."""
NEVER = math.inf
DIGITS = "0123456789abcdef"


def image(number: int) -> str:
    return f"registry.test/app@sha256:{number:064x}"


@types.coroutine
def step() -> Generator[None, None, None]:
    """A point at which the world may do something else first."""
    yield


@dataclass
class Pods:
    """One colour's Deployment. `ready_at` holds, for each pod, the moment it is Ready; never for a bad one."""

    revision: str = ""
    replicas: int = 0
    version: int = 1
    ready_at: list[float] = field(default_factory=list)
    crash_looping: bool = False
    born: float = 0.0


@dataclass
class Worker:
    """One pod of workers: when it is Ready, and which colour the file that it reads names."""

    ready_at: float
    sees: Colour | None
    follows_at: float = NEVER


@dataclass
class WorkerPods:
    """One colour's Deployment of workers."""

    revision: str = ""
    replicas: int = 0
    version: int = 0
    made: list[Worker] = field(default_factory=list)
    crashed: float = NEVER


@dataclass
class Router:
    """One HAProxy: it follows the Service's annotation after a while, or loses an update until it is reloaded."""

    restarts: int = 0
    pid: int = 1
    weights: tuple[int, int] = (0, 0)
    initial: int = 100
    ready_from: float = 0.0
    follows_at: float = 0.0
    stuck: bool = False
    silent_until: float = 0.0
    preview: tuple[int, int] = (100, 0)


@dataclass(frozen=True)
class Nature:
    """What a version is really like; the truth that the controller has to find out."""

    errors: float = 0.0
    samples: float = 1000.0
    per_second: float | None = None
    """Requests that it gets each second at any weight: how many a measurement finds follows from its window."""
    starts_in: float = 2.0
    crashes: bool = False
    migration: int = 0
    preview: int = 0
    workers_crash: bool = False
    chokes: bool = False
    """Its workers crash as soon as they consume, which nothing tells before the promotion."""

    @property
    def good(self) -> bool:
        lives = not self.crashes and not self.workers_crash
        asked = self.migration in {0, 3} and self.preview == 0
        return self.errors == 0.0 and self.samples >= 50 and lives and asked


@dataclass
class Controller:
    """A controller process: its running turn, and until when it stands still."""

    name: str
    running: Coroutine[Any, Any, Turn] | None = None
    stands_until: float = 0.0
    next_at: float = 0.0
    stalls: bool = False
    memory: dict[str, Any] = field(default_factory=dict)


SPEC = RolloutSpec(
    service="payload",
    template="payload",
    image=image(1),
    replicas=2,
    strategy=Strategy(canary=Canary(steps=(Step(weight=10, pause=4), Step(weight=50)))),
    analysis=Analysis(
        metrics=(
            Metric(
                name="errors",
                source=Source.ERROR_RATIO,
                interval=2,
                count=2,
                maximum=0.01,
                inconclusive_limit=2,
                consecutive_error_limit=2,
            ),
        ),
        soak=4,
    ),
    migrations=Migrations(timeout=40),
    workers=Workers(template="payload-worker", replicas=1),
    rollback_window=6,
    scale_down_delay=3,
    drain_timeout=8,
    progress_deadline=25,
    pause_timeout=15,
)


class World:
    """The cluster. Times are virtual seconds."""

    def __init__(self, random: Random, *, spec: RolloutSpec = SPEC, routers: int = 2) -> None:
        self.random = random
        self.time = 1000.0
        self.spec = spec
        self.generation = 1
        self.version = 1
        self.status = RolloutStatus()
        self.natures: dict[str, Nature] = {}
        self.pods: dict[Colour, Pods] = {colour: Pods() for colour in Colour}
        self.workers: dict[Colour, WorkerPods] = {colour: WorkerPods() for colour in Colour}
        self.switch: Colour | None = None
        self.switch_fence = 0
        self.switch_version = 0
        self.switched = 0.0
        self.waiting: float | None = None
        self.room = 1000
        """Workers of each colour for which there are processors."""
        self.routers: dict[str, Router] = {f"haproxy-{number}": Router() for number in range(routers)}
        self.annotated: tuple[int, int] | None = None
        self.initial = 0
        self.writer = ""
        self.fence = 0
        self.service_version = 1
        self.jobs: dict[str, tuple[float, int]] = {}
        self.holder = ""
        self.lease_until = 0.0
        self.epoch = 0
        self.api_down_until = 0.0
        self.metrics_down_until = 0.0
        self.lose: Callable[[], str] = lambda: ""
        self.watchers: list[Any] = []
        self.compare_and_swap = True
        self.watched = 0.0
        self.preview: tuple[int, int] = (100, 0)
        self.preview_version = 1
        self.disturbed = 0.0
        self.log: list[str] = []

    # -- what is true right now -------------------------------------------------------------------------------------

    def ready(self, colour: Colour) -> int:
        time, count = self.time, 0
        for moment in self.pods[colour].ready_at:
            if moment <= time:
                count += 1
        return count

    def workers_ready(self, colour: Colour) -> int:
        return sum(worker.ready_at <= self.time for worker in self.workers[colour].made)

    def consumes(self, colour: Colour) -> bool:
        time = self.time
        return any(worker.ready_at <= time and worker.sees is colour for worker in self.workers[colour].made)

    def nature(self, revision: str) -> Nature:
        return self.natures.get(revision, Nature())

    def wanted(self) -> Wanted:
        return Wanted(f"r{self.spec.image[-6:]}{self.spec.attempt}", self.spec.image)

    def serving(self, router: Router) -> dict[Colour, int]:
        """Sum of server weights per colour, as the ingress controller and HAProxy would have it."""
        blue, green = self.ready(Colour.BLUE), self.ready(Colour.GREEN)
        if blue + green == 0:
            return {Colour.BLUE: 0, Colour.GREEN: 0}
        servers = rebalance(((router.weights[0], blue), (router.weights[1], green)), router.initial or 1)
        return {Colour.BLUE: servers[0] * blue, Colour.GREEN: servers[1] * green}

    def live_routers(self) -> dict[str, Router]:
        return {name: router for name, router in self.routers.items() if router.ready_from <= self.time}

    # -- time -------------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        self.time += seconds
        for router in self.routers.values():
            if router.follows_at <= self.time and not router.stuck and self.annotated is not None:
                if router.initial != self.initial and router.weights != (0, 0):
                    router.pid += 1
                router.weights, router.initial = self.annotated, self.initial
                router.preview = self.preview
        if self.time - self.watched >= WATCH_EVERY:
            self.watch()

    def watch(self) -> None:
        self.watched = self.time
        self.workers_look()
        for watcher in self.watchers:
            watcher.after_time(self)

    def workers_look(self) -> None:
        """Files are brought to pods, and what chokes on messages dies."""
        time = self.time
        for colour, pods in self.workers.items():
            for worker in pods.made:
                if worker.follows_at <= time:
                    worker.sees, worker.follows_at = self.switch, NEVER
                if worker.sees is colour and worker.ready_at <= time and self.nature(pods.revision).chokes:
                    worker.ready_at, pods.crashed = NEVER, min(pods.crashed, time)

    def service_changed(self) -> None:
        self.service_version += 1
        for router in self.routers.values():
            if router.initial != self.initial:
                router.stuck = False
            router.follows_at = self.time + self.random.random() * 2.0

    # -- changes from outside the controller -------------------------------------------------------------------------

    def respec(self, **changes: Any) -> None:
        self.spec = replace(self.spec, **changes)
        self.generation += 1
        self.version += 1

    def hand_weights(self, blue: int, green: int) -> None:
        self.annotated, self.writer = (blue, green), "kubectl-annotate"
        self.service_changed()

    def crash_pods(self, colour: Colour, back_in: float) -> None:
        pods = self.pods[colour]
        pods.ready_at = [self.time + back_in if moment <= self.time else moment for moment in pods.ready_at]

    def crash_workers(self, colour: Colour, back_in: float) -> None:
        """The pods are lost; others start in their place and read the switch as it is."""
        for worker in self.workers[colour].made:
            if worker.ready_at <= self.time:
                worker.ready_at, worker.sees, worker.follows_at = self.time + back_in, self.switch, NEVER

    def restart_router(self, name: str, back_in: float) -> None:
        router = self.routers[name]
        router.restarts += 1
        router.pid += 1
        router.stuck = False
        router.ready_from = self.time + back_in
        router.follows_at = self.time + back_in
        if self.annotated is not None:
            router.weights, router.initial = self.annotated, self.initial


class SimulatedPorts:
    """`Ports` over a `World`, with a point to interrupt before every call and calls that may fail or get lost."""

    def __init__(self, world: World, controller: Controller) -> None:
        self.world = world
        self.controller = controller

    def now(self) -> float:
        return self.world.time

    def _stall(self) -> None:
        """Stand still right before a change, long enough for the other controller to take over."""
        if self.controller.stalls:
            self.controller.stalls = False
            self.controller.stands_until = self.world.time + LEASE * (1 + self.world.random.random())
            self.world.disturbed = self.controller.stands_until  # the trouble lasts until it goes on

    async def _call(self) -> str:
        await step()
        world = self.world
        if world.time < world.api_down_until:
            raise Unavailable
        fault = world.lose()
        if fault == "before":
            raise Unavailable
        return fault

    async def leadership(self) -> int | None:
        await self._call()
        world = self.world
        if world.holder != self.controller.name:
            if world.time < world.lease_until:
                return None
            world.holder = self.controller.name
            world.epoch += 1
        world.lease_until = world.time + LEASE
        return world.epoch

    async def read(self) -> Rollout | None:
        await self._call()
        world = self.world
        return Rollout("payload", "dev", "u", world.generation, str(world.version), world.spec, world.status)

    async def look(self, rollout: Rollout, epoch: int) -> Observation:
        await self._call()
        return observe(self.world, rollout, epoch)

    async def write(self, rollout: Rollout, status: RolloutStatus, event: str) -> None:
        self._stall()
        fault = await self._call()
        world = self.world
        if world.compare_and_swap and rollout.version != str(world.version):
            raise Conflict
        world.watch()
        for watcher in world.watchers:
            watcher.on_write(world, world.status, status)
        if event:
            world.log.append(f"{world.time:.1f} {self.controller.name} {status.phase}: {event}")
        world.status = status
        world.version += 1
        if fault == "after":
            raise Unavailable

    async def act(self, rollout: Rollout, action: Action) -> None:
        del rollout
        self._stall()
        fault = await self._call()
        perform(self.world, action)
        if fault == "after":
            raise Unavailable


def observe(world: World, rollout: Rollout, epoch: int) -> Observation:
    """One look, complete and true at this moment (except routers and sources that do not answer)."""
    colours: dict[Colour, ColourView] = {}
    for colour, pods in world.pods.items():
        workers = world.workers[colour]
        colours[colour] = ColourView(
            pods.revision,
            pods.replicas,
            world.ready(colour),
            len(pods.ready_at),
            pods.crash_looping and world.time > pods.born + CRASHES_LOOP,
            str(pods.version),
            WorkersView(
                workers.revision,
                workers.replicas,
                world.workers_ready(colour),
                world.time > workers.crashed + CRASHES_LOOP,
                str(workers.version) if workers.version else "",
            ),
        )
    routers: dict[str, RouterView | None] = {}
    for name, router in world.live_routers().items():
        if world.time < router.silent_until:
            routers[name] = None
            continue
        serving = world.serving(router)
        routers[name] = RouterView(
            f"{router.restarts}/{router.pid}",
            serving[Colour.BLUE],
            serving[Colour.GREEN],
            colours[Colour.BLUE].ready,
            colours[Colour.GREEN].ready,
            preview=(
                router.preview[0] * colours[Colour.BLUE].ready,
                router.preview[1] * colours[Colour.GREEN].ready,
            ),
        )
    ours = world.writer in {"", "slipway-rollout"}
    annotation = Annotation(world.annotated, world.initial, world.writer, ours, world.fence, str(world.service_version))
    preview = Annotation(world.preview, 100, "slipway-rollout", True, 0, str(world.preview_version))
    partial = Observation(epoch, world.wanted(), colours, annotation, routers, preview=preview)
    return replace(
        partial,
        measurements=measure(world, rollout, partial),
        jobs={name: JobView(code if moment <= world.time else None) for name, (moment, code) in world.jobs.items()},
        prometheus=world.time >= world.metrics_down_until,
        free_slots=16,
        waiting=world.waiting if world.time >= world.metrics_down_until else None,
        switch=Switch(world.switch, world.switch_fence, str(world.switch_version) if world.switch_version else ""),
    )


def measure(world: World, rollout: Rollout, seen: Observation) -> Mapping[str, Measurement]:
    states = rollout.status.metrics
    revision = rollout.status.candidate or rollout.status.stable
    if not states or revision is None:
        return {}
    context = Context(rollout, seen, world.time)
    answers: dict[str, Measurement] = {}
    age = 0.0 if rollout.status.intent is None else world.time - rollout.status.intent.since
    counts = {state.name: state for state in states}
    for metric in analysis.due(judged(context), states, world.time):
        nature = world.nature(revision.hash)
        if world.time < world.metrics_down_until:
            answers[metric.name] = Measurement(error="no answer")
        elif nature.samples == 0:
            answers[metric.name] = Measurement(samples=None)
        elif nature.per_second is not None:
            seconds = min(window_of(metric, counts[metric.name], age), age)
            answers[metric.name] = Measurement(nature.errors, 0.0, nature.per_second * seconds)
        else:
            answers[metric.name] = Measurement(nature.errors, 0.0, nature.samples)
    return answers


def perform(world: World, action: Action) -> None:  # noqa: C901, PLR0912 - one branch a kind of action
    world.watch()
    match action:
        case SetWeights():
            if action.version != str(world.service_version):
                raise Conflict
            for watcher in world.watchers:
                watcher.on_weights(world, action)
            world.annotated, world.initial = (action.blue, action.green), action.initial
            world.writer, world.fence = "slipway-rollout", action.fence
            world.service_changed()
        case ApplyColour():
            pods = world.pods[action.colour]
            if action.version != str(pods.version):
                raise Conflict
            for watcher in world.watchers:
                watcher.on_colour(world, action)
            pods.version += 1
            if action.revision and action.revision != pods.revision:
                pods.revision, pods.ready_at, pods.born = action.revision, [], world.time
                pods.crash_looping = world.nature(action.revision).crashes
            pods.replicas = action.replicas
            nature = world.nature(pods.revision)
            del pods.ready_at[action.replicas :]
            while len(pods.ready_at) < action.replicas:
                delay = nature.starts_in * (0.5 + world.random.random())
                pods.ready_at.append(NEVER if nature.crashes else world.time + delay)
        case ApplyWorkers():
            apply_workers(world, action)
        case SetConsumers():
            if action.version != (str(world.switch_version) if world.switch_version else ""):
                raise Conflict
            if action.colour is not world.switch:
                world.switched = world.time
            world.switch, world.switch_fence = action.colour, action.fence
            world.switch_version += 1
            # Most kubelets are told to look; a controller that dies in between leaves it to their own rounds.
            late = 2.0 if world.random.random() < 0.9 else FOLLOWS_WITHIN
            for pods in world.workers.values():
                for worker in pods.made:
                    worker.follows_at = world.time + world.random.random() * late
        case SetPreview():
            if action.version != str(world.preview_version):
                raise Conflict
            world.preview = preview_weights(action.colour)
            world.preview_version += 1
            for router in world.routers.values():
                router.follows_at = max(router.follows_at, world.time + world.random.random() * 2.0)
        case RunJob():
            nature = world.nature(action.revision)
            code = {"check": nature.migration, "preview": nature.preview}.get(action.kind, 0)
            world.jobs.setdefault(action.name, (world.time + 1 + world.random.random() * 2, code))


def apply_workers(world: World, action: ApplyWorkers) -> None:
    pods = world.workers[action.colour]
    if action.version != (str(pods.version) if pods.version else ""):
        raise Conflict
    pods.version += 1
    if action.revision and action.revision != pods.revision:
        pods.revision, pods.made, pods.crashed = action.revision, [], NEVER
    pods.replicas = action.replicas
    nature = world.nature(pods.revision)
    del pods.made[action.replicas :]
    while len(pods.made) < action.replicas:
        if nature.workers_crash:
            pods.crashed = min(pods.crashed, world.time)
        full = len(pods.made) >= world.room
        delay = NEVER if nature.workers_crash or full else nature.starts_in * (0.5 + world.random.random())
        pods.made.append(Worker(world.time + delay, world.switch))


def advance_controller(world: World, controller: Controller, make: Callable[[World, Controller], Any]) -> None:
    """Run one controller up to its next call; start a new turn when the last one is over."""
    if controller.running is None:
        controller.running = turn(make(world, controller))
    try:
        controller.running.send(None)
    except StopIteration as done:
        controller.running = None
        controller.next_at = world.time + done.value.again
    except Unavailable:
        controller.running = None
        controller.next_at = world.time + 0.5


def kill(controller: Controller) -> None:
    if controller.running is not None:
        controller.running.close()
    controller.running = None
    controller.memory.clear()


__all__ = ["Verdict"]
