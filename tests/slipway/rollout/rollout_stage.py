"""The whole controller on a stage: a real API server, a real HAProxy, played nodes, and requests all the time.

The controller has exactly the rights that `manifests.py` gives it.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rollout_control_plane import CONTROLLER
from rollout_played import Load, Played, furnish, played

from slipway.rollout import resource
from slipway.rollout.api import APPS, CORE, LEASES, ROLLOUTS, Api, path_of
from slipway.rollout.cluster import World
from slipway.rollout.controller import Controller
from slipway.rollout.lease import Leadership
from slipway.rollout.observation import Rollout
from slipway.rollout.routers import HAProxyRouter, Statistics, StatisticsReader
from slipway.rollout.status import Phase
from slipway.rollout.telemetry import Telemetry

T = TypeVar("T")
PATH = path_of(ROLLOUTS, "dev", "rollouts")
SWITCH = path_of(CORE, "dev", "configmaps", "payload-consumers")


def image(number: int) -> str:
    return f"registry.test/app@sha256:{number:064x}"


SPEC: dict[str, Any] = {
    "service": "payload",
    "template": "payload",
    "image": image(1),
    "replicas": 2,
    "strategy": {"canary": {"steps": [{"weight": 25}, {"weight": 50}]}},
    "analysis": {
        "metrics": [
            {"name": "errors", "source": "error-ratio", "maximum": 0.01, "interval": "1s", "count": 2, "minSamples": 20}
        ]
    },
    "rollbackWindow": "4s",
    "scaleDownDelay": "1s",
    "progressDeadline": "60s",
}


@dataclass
class Running:
    """One controller in this process."""

    task: asyncio.Task[None]
    stop: asyncio.Event
    reader: StatisticsReader
    telemetry: Telemetry


@dataclass
class Stage:
    """Everything a test needs."""

    api: Api
    own: Api
    played: Played
    load: Load
    name: str = "payload"
    running: list[Running] = field(default_factory=list)

    def start(self, identity: str) -> Running:
        access = Statistics(port=self.played.haproxy.statistics, user="slipway", password="secret")
        reader = StatisticsReader(access)
        router = HAProxyRouter(self.own, reader, namespace="ingress", selector="app.kubernetes.io/name=haproxy")
        telemetry = Telemetry()
        telemetry.tallies = router.tallies
        leadership = Leadership(self.own, "slipway-system", identity, time.monotonic)
        world = World(api=self.own, leadership=leadership, router=router, identity=identity, tallies=router.tallies)
        stop = asyncio.Event()
        found = Running(asyncio.create_task(Controller(world, telemetry).run(stop)), stop, reader, telemetry)
        self.running.append(found)
        return found

    async def end(self, found: Running) -> None:
        found.stop.set()
        await found.task
        await found.reader.close()
        self.running.remove(found)

    async def rollout(self) -> Rollout:
        manifest = await self.api.get(f"{PATH}/{self.name}")
        assert manifest is not None
        return resource.parse(manifest)

    async def until(self, what: Callable[[Rollout], bool], seconds: float = 60) -> Rollout:
        return await self._soon(self.rollout, what, seconds, lambda it: f"{it.status.phase}: {it.status.message}")

    async def _soon(
        self, ask: Callable[[], Awaitable[T]], what: Callable[[T], bool], seconds: float, say: Callable[[T], object]
    ) -> T:
        """What `ask` finds, once it is as wanted; else fails after so long, with what `say` makes of the last."""
        end = time.monotonic() + seconds
        while not what(found := await ask()):
            self.played.check()
            assert time.monotonic() < end, say(found)
            await asyncio.sleep(0.05)
        return found

    async def want(self, **changes: Any) -> None:
        await self.api.merge(f"{PATH}/{self.name}", {"spec": changes})

    async def consuming(self) -> str:
        """The colour that the switch names."""
        found = await self.api.get(SWITCH)
        return "" if found is None else found["data"]["colour"]

    async def workers(self) -> dict[str, tuple[str, str]]:
        """Revision of each worker by its colour, and what it was last told."""
        pods = await self.api.list(path_of(CORE, "dev", "pods"), "slipway.dev/role=worker")
        return {
            pod["metadata"]["labels"]["slipway.dev/colour"]: (
                pod["metadata"]["labels"]["slipway.dev/revision"],
                pod["metadata"].get("annotations", {}).get("slipway.dev/consumes", ""),
            )
            for pod in pods
        }

    async def told(self, colour: str, seconds: float = 20) -> None:
        """Wait until every worker was told of a colour; the switch is turned after the phase has changed."""

        async def ask() -> tuple[str, dict[str, tuple[str, str]]]:
            return await self.consuming(), await self.workers()

        def all_know(it: tuple[str, dict[str, tuple[str, str]]]) -> bool:
            return it[0] == colour and {said for _, said in it[1].values()} == {colour}

        await self._soon(ask, all_know, seconds, str)

    async def event(self, reason: str, seconds: float = 20) -> None:
        """Wait until an Event of this name tells the reason; it is written after the status."""
        await self._soon(self._events, lambda told: reason in told, seconds, str)

    async def _events(self) -> set[str]:
        events = await self.api.list(path_of(CORE, "dev", "events"))
        return {it["reason"] for it in events if it["involvedObject"]["name"] == self.name}

    async def bootstrap(self, **changes: Any) -> Rollout:
        made = {"apiVersion": resource.API_VERSION, "kind": resource.KIND, "metadata": {"name": self.name}}
        await self.api.create(PATH, made | {"spec": SPEC | changes})
        return await self.until(lambda found: found.status.phase is Phase.DONE)


@contextlib.asynccontextmanager
async def stage(control_plane: Any, folder: Path) -> AsyncIterator[Stage]:
    async with (
        Api(control_plane.config(), manager="people") as api,
        Api(control_plane.config(), manager="nodes") as nodes,
        Api(control_plane.config(CONTROLLER)) as own,
        played(nodes, folder) as rest,
    ):
        found = Stage(api, own, rest, Load(f"http://127.0.0.1:{rest.haproxy.live}"))
        await furnish(nodes, rest)
        clients: list[asyncio.Task[None]] = []
        try:
            found.start("one")
            await found.bootstrap()
            await asyncio.sleep(0.3)
            clients = [asyncio.create_task(found.load.client(0.005)) for _ in range(3)]
            yield found
        finally:
            for task in clients:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            for running in list(found.running):
                await found.end(running)
            await clean(api)


async def clean(api: Api) -> None:
    """No garbage collector runs here."""
    for base, plural in ((ROLLOUTS, "rollouts"), (APPS, "deployments"), (CORE, "pods"), (CORE, "podtemplates")):
        path = path_of(base, "dev", plural)
        for found in await api.list(path):
            await api._written("DELETE", f"{path}/{found['metadata']['name']}", {"gracePeriodSeconds": 0})
    for name in ("payload", "payload-preview"):
        await api._written("DELETE", path_of(CORE, "dev", "services", name), {})
    if await api.get(SWITCH) is not None:
        await api._written("DELETE", SWITCH, {})
    await api._written("DELETE", path_of(LEASES, "slipway-system", "leases", "slipway-rollout"), {})


def run(control_plane: Any, folder: Path, play: Callable[[Stage], Awaitable[None]]) -> None:
    async def go() -> None:
        async with stage(control_plane, folder) as found:
            await play(found)

    asyncio.run(go())
