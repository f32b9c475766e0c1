"""The whole controller against a real API server and a real HAProxy: nodes and ingress controller are played.

The controller has exactly the rights that `manifests.py` gives it.

Requests run all the time; a good version is promoted without a failed one, a bad one goes back by itself, an abort and
a take-over by the second controller lose nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rollout_control_plane import CONTROLLER
from rollout_played import Load, Played, furnish, played

from slipway.rollout import resource
from slipway.rollout.api import APPS, CORE, LEASES, ROLLOUTS, Api, path_of
from slipway.rollout.client import Client, ExitCode, outcome
from slipway.rollout.cluster import World
from slipway.rollout.controller import Controller
from slipway.rollout.lease import Leadership
from slipway.rollout.observation import Rollout
from slipway.rollout.routers import HAProxyRouter, Statistics, StatisticsReader
from slipway.rollout.status import Phase, Reason
from slipway.rollout.telemetry import Telemetry

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
        end = time.monotonic() + seconds
        while not what(found := await self.rollout()):
            self.played.check()
            assert time.monotonic() < end, f"{found.status.phase}: {found.status.message}"
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
        end = time.monotonic() + seconds
        while {said for _, said in (await self.workers()).values()} != {colour} or await self.consuming() != colour:
            assert time.monotonic() < end, (await self.consuming(), await self.workers())
            await asyncio.sleep(0.05)

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


@pytest.mark.timeout(240)
def test_a_good_version_is_promoted_without_a_failed_request(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        process = found.played.haproxy.ask("show info")
        await found.want(image=image(2))
        done = await found.until(lambda it: it.status.phase is Phase.WARM_STANDBY, 90)
        assert done.status.last_good_image == image(2)
        assert done.status.stable is not None
        assert done.status.standby is not None
        assert done.status.observed is not None
        assert done.status.observed.green == 100
        assert found.load.failed == []
        assert found.load.revisions[done.status.stable.hash] > 50
        assert found.load.revisions[done.status.standby.hash] > 50
        assert process.partition("Pid:")[2][:8] == found.played.haproxy.ask("show info").partition("Pid:")[2][:8]
        gone = await found.until(lambda it: it.status.phase is Phase.DONE, 60)
        assert gone.status.standby is None
        blue = await found.api.get(path_of(APPS, "dev", "deployments", "payload-blue"))
        while blue is not None and blue["spec"]["replicas"]:
            await asyncio.sleep(0.05)
            blue = await found.api.get(path_of(APPS, "dev", "deployments", "payload-blue"))
        await asyncio.sleep(0.5)
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_a_bad_version_goes_back_by_itself(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        found.played.bad_images.add(image(3))
        await found.want(image=image(3))
        back = await found.until(lambda it: it.status.phase is Phase.ROLLED_BACK, 90)
        assert back.status.reason is Reason.ANALYSIS_FAILED
        assert back.status.last_good_image == image(1)
        rejected = back.status.rejected[-1].revision
        assert found.load.failed, "the version was bad"
        assert {text.partition(" from ")[2] for text in found.load.failed} == {rejected}
        total = sum(found.load.revisions.values())
        assert len(found.load.failed) <= 0.30 * total
        before = len(found.load.failed)
        await found.until(lambda it: it.status.candidate is None)
        await asyncio.sleep(0.5)
        assert len(found.load.failed) == before
        assert (await found.rollout()).status.rejects(rejected), "it is not tried again"

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_an_abort_and_a_change_of_the_leader_lose_nothing(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        found.start("two")
        await found.want(image=image(4), strategy={"canary": {"steps": [{"weight": 25, "pause": "60s"}]}})
        judged = await found.until(lambda it: it.status.phase is Phase.ANALYSING)
        assert judged.status.candidate is not None
        await found.end(found.running[0])
        asked = time.monotonic()
        await found.want(abort={"revision": judged.status.candidate.hash, "by": "admin", "reason": "drill"})
        back = await found.until(lambda it: it.status.phase is Phase.ROLLED_BACK)
        assert time.monotonic() - asked < 15
        assert (back.status.reason, back.status.by) == (Reason.ABORTED, "admin")
        assert back.status.observed is not None
        assert back.status.observed.green == 0
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_whoever_moves_weights_by_hand_is_named_and_respected(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        async with Api(control_plane.config(), manager="kubectl-annotate") as hand:
            await hand.merge(
                path_of(CORE, "dev", "services", "payload"),
                {
                    "metadata": {
                        "annotations": {
                            "haproxy-ingress.github.io/blue-green-balance": (
                                "slipway.dev/colour=blue=60,slipway.dev/colour=green=40"
                            )
                        }
                    }
                },
            )
        held = await found.until(lambda it: it.status.phase is Phase.PAUSED)
        assert held.status.reason is Reason.BREAK_GLASS
        assert held.status.by == "kubectl-annotate"
        assert held.status.stable is not None
        await found.want(approve={"revision": held.status.stable.hash, "by": "admin", "gate": held.status.gate})
        on = await found.until(lambda it: it.status.phase is Phase.DONE)
        assert on.status.approvals[-1].by == "admin"
        service = await found.api.get(path_of(CORE, "dev", "services", "payload"))
        while service is not None and "blue=100" not in str(service["metadata"]["annotations"]):
            await asyncio.sleep(0.05)
            service = await found.api.get(path_of(CORE, "dev", "services", "payload"))
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_blue_green_waits_for_a_person_and_goes_back_within_the_window(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        strategy = {"canary": None, "blueGreen": {"approval": True}}
        await found.want(image=image(5), strategy=strategy, rollbackWindow="10m")
        waits = await found.until(lambda it: it.status.phase is Phase.APPROVAL)
        assert waits.status.gate == "preview"
        assert waits.status.candidate is not None
        client = Client(found.api, "dev", "payload")
        await asyncio.sleep(0.5)
        assert waits.status.candidate.hash not in found.load.revisions, "nothing moves before the approval"
        assert await client.approve() == "preview"
        warm = await found.until(lambda it: it.status.phase is Phase.WARM_STANDBY)
        assert outcome(warm, image(5)) is ExitCode.PROMOTED
        await client.rollback(reason="drill")
        back = await found.until(lambda it: it.status.phase is Phase.ROLLED_BACK)
        assert back.status.stable is not None
        assert back.status.stable.image == image(1)
        assert outcome(back, image(5)) is ExitCode.ROLLED_BACK
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_another_wanted_version_supersedes_the_one_under_test(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        await found.want(image=image(6), strategy={"canary": {"steps": [{"weight": 25, "pause": "60s"}]}})
        await found.until(lambda it: it.status.phase is Phase.ANALYSING)
        await found.want(image=image(7), strategy={"canary": {"steps": [{"weight": 50}]}})
        done = await found.until(lambda it: it.status.phase in {Phase.WARM_STANDBY, Phase.DONE}, 120)
        assert done.status.last_good_image == image(7)
        assert [line.result for line in done.status.history][-2:] == ["rolled back: Superseded", "promoted"]
        assert not any(entry.reason is Reason.SUPERSEDED for entry in done.status.rejected)
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_messages_move_with_the_promotion_and_back_with_the_rollback(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        assert await found.consuming() == "", "a service without workers has no switch"
        strategy = {"canary": {"steps": [{"weight": 25, "pause": "4s"}]}}
        workers = {"template": "payload-worker", "replicas": 1}
        await found.want(image=image(8), workers=workers, strategy=strategy, analysis=None, rollbackWindow="10m")
        warm = await found.until(lambda it: it.status.phase is Phase.WARM_STANDBY, 90)
        first = warm.status.stable
        assert first is not None
        assert first.colour.value == "green"
        await found.told("green")
        assert await found.workers() == {"green": (first.hash, "green")}, "the version before has no workers"

        await found.want(image=image(9))
        judged = await found.until(lambda it: it.status.phase is Phase.ANALYSING)
        second = judged.status.candidate
        assert second is not None
        assert await found.consuming() == "green", "a version under test gets requests, but no messages"
        assert await found.workers() == {"green": (first.hash, "green"), "blue": (second.hash, "")}
        await found.until(lambda it: it.status.phase is Phase.WARM_STANDBY, 90)
        await found.told("blue")
        assert await found.workers() == {"green": (first.hash, "blue"), "blue": (second.hash, "blue")}

        await Client(found.api, "dev", "payload").rollback(reason="drill")
        back = await found.until(lambda it: it.status.phase is Phase.ROLLED_BACK)
        assert back.status.stable == first
        await found.told("green")
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


@pytest.mark.timeout(240)
def test_a_second_rollout_on_the_service_waits_and_says_why(control_plane, tmp_path):
    async def play(found: Stage) -> None:
        made = {"apiVersion": resource.API_VERSION, "kind": resource.KIND, "metadata": {"name": "second"}}
        await found.api.create(PATH, made | {"spec": SPEC | {"image": image(3)}})
        found.name = "second"
        held = await found.until(lambda it: it.status.reason is Reason.SERVICE_TAKEN)
        assert "rolled out by payload" in held.status.message
        assert outcome(held, image(3)) is ExitCode.PAUSED
        events = await found.api.list(path_of(CORE, "dev", "events"))
        assert "ServiceTaken" in {it["reason"] for it in events if it["involvedObject"]["name"] == "second"}
        found.name = "payload"
        await found.want(image=image(2), analysis=None)
        done = await found.until(lambda it: it.status.phase is Phase.WARM_STANDBY, 90)
        assert done.status.last_good_image == image(2), "the older one goes on as if there were no other"
        deployments = await found.api.list(path_of(APPS, "dev", "deployments"))
        assert {it["metadata"]["name"] for it in deployments} == {"payload-blue", "payload-green"}
        assert found.load.failed == []

    run(control_plane, tmp_path, play)
