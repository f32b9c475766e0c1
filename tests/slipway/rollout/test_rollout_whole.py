"""The whole controller against a real API server and a real HAProxy: nodes and ingress controller are played.

The controller has exactly the rights that `manifests.py` gives it.

Requests run all the time; a good version is promoted without a failed one, a bad one goes back by itself, an abort and
a take-over by the second controller lose nothing.
"""

import asyncio
import time

import pytest
from rollout_stage import PATH, SPEC, Stage, image, run

from slipway.rollout import resource
from slipway.rollout.api import APPS, CORE, Api, path_of
from slipway.rollout.client import Client, ExitCode, Wish, outcome
from slipway.rollout.status import Phase, Reason


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
        assert outcome(warm, image(5), Wish(1)) is ExitCode.PROMOTED
        await client.rollback(reason="drill")
        back = await found.until(lambda it: it.status.phase is Phase.ROLLED_BACK)
        assert back.status.stable is not None
        assert back.status.stable.image == image(1)
        assert outcome(back, image(5), Wish(1)) is ExitCode.ROLLED_BACK
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
        assert outcome(held, image(3), Wish(1)) is ExitCode.PAUSED
        await found.event("ServiceTaken")
        found.name = "payload"
        await found.want(image=image(2), analysis=None)
        done = await found.until(lambda it: it.status.phase is Phase.WARM_STANDBY, 90)
        assert done.status.last_good_image == image(2), "the older one goes on as if there were no other"
        deployments = await found.api.list(path_of(APPS, "dev", "deployments"))
        assert {it["metadata"]["name"] for it in deployments} == {"payload-blue", "payload-green"}
        assert found.load.failed == []

    run(control_plane, tmp_path, play)
