"""Copies of a revision's templates and config go when nothing knows the revision any more, and never before."""

import asyncio
from dataclasses import replace

import pytest
from rollout_control_plane import CONTROLLER

from slipway.rollout.api import CORE, Api, path_of
from slipway.rollout.context import Context
from slipway.rollout.desired import missing
from slipway.rollout.loop import Conflict
from slipway.rollout.observation import ColourView, Copy, Forget, Observation, Rollout, Wanted, WorkersView
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import Colour, Finished, Phase, Revision, RolloutStatus

IMAGE = "registry.test/app@sha256:" + "a" * 64
SPEC = RolloutSpec(service="payload", template="payload", image=IMAGE)
STABLE, OLD = (Revision(hash=it, image=IMAGE, number=1, colour=Colour(colour)) for it, colour in
               (("stable", "blue"), ("old", "green")))  # fmt: skip
COPIES = tuple(
    Copy(f"payload-{it}", it, "1") for it in ("stable", "old", "wanted", "finished", "served", "works", "forgotten", "")
)


def line(revision):
    return Finished(revision=revision, image=IMAGE, number=1, result="promoted", started=1.0, finished=2.0)


STATUS = RolloutStatus(phase=Phase.WARM_STANDBY, stable=STABLE, standby=OLD, history=(line("finished"),))
COLOURS = {
    Colour.BLUE: ColourView("served", 2, 2, 2, workers=WorkersView("works", 1, 1)),
    Colour.GREEN: ColourView("gone", 0, 0, 0),
}
SEEN = Observation(1, Wanted("wanted", IMAGE), COLOURS, None, {}, copies=COPIES)


def forgotten(status=STATUS, seen=SEEN):
    context = Context(Rollout("payload", "dev", "u", 1, "1", SPEC, status), seen, 100.0)
    return [action for action in missing(context) if isinstance(action, Forget)]


def test_what_serves_works_waits_or_stands_in_the_history_stays():
    assert forgotten() == [Forget("payload-forgotten", "1"), Forget("payload-", "1")]


def test_nothing_goes_while_it_is_not_known_what_is_wanted_or_something_is_under_way():
    assert forgotten(seen=replace(SEEN, wanted=None)) == []
    assert forgotten(status=replace(STATUS, candidate=OLD, standby=None)) == []


@pytest.mark.timeout(120)
def test_the_controller_may_delete_a_template_it_has_seen_and_no_secret(control_plane):
    async def play():
        path = path_of(CORE, "dev", "podtemplates")
        pods = {"spec": {"containers": [{"name": "a", "image": "b"}]}}
        made = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "payload-old"}, "template": pods}
        async with Api(control_plane.config(CONTROLLER)) as api:
            seen = await api.create(path, made)
            used = await api.merge(f"{path}/payload-old", {"metadata": {"annotations": {"slipway.dev/used": "now"}}})
            with pytest.raises(Conflict):
                await api.delete(f"{path}/payload-old", seen["metadata"]["resourceVersion"])
            await api.delete(f"{path}/payload-old", used["metadata"]["resourceVersion"])
            left = await api.get(f"{path}/payload-old")
            # Nobody collects here: it waits for what it owns to go first.
            assert left is None or left["metadata"]["deletionTimestamp"]
            await api.delete(f"{path}/never-there", "1")
        secret = path_of(CORE, "dev", "secrets", "payload-old")
        assert control_plane.request("DELETE", secret, user=CONTROLLER).status_code == 403

    asyncio.run(play())
