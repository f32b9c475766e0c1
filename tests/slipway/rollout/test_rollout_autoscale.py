"""The autoscalers: floors that never let a colour shrink while two versions are in play; and on a real API server."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_control_plane import CONTROLLER

from slipway.rollout.api import APPS, Api, path_of
from slipway.rollout.autoscale import AUTOSCALING, PLURAL, Autoscalers, floor, holds, wanted
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import Autoscaling, RolloutSpec
from slipway.rollout.status import Colour, Revision, RolloutStatus

IMAGE = "registry.test/app@sha256:" + "a" * 64
BLUE = Revision(hash="aaa", image=IMAGE, number=1, colour=Colour.BLUE)
GREEN = Revision(hash="bbb", image=IMAGE, number=2, colour=Colour.GREEN)
ALONE = RolloutStatus(stable=BLUE)
TESTED = RolloutStatus(stable=BLUE, candidate=GREEN)
WARM = RolloutStatus(stable=GREEN, standby=BLUE)


def rollout(status=ALONE, **changes):
    asked = {"replicas": 2, "autoscaling": Autoscaling(max_replicas=6)} | changes
    spec = RolloutSpec(service="payload", template="payload", image=IMAGE, **asked)
    return Rollout(name="payload", namespace="dev", uid="u", generation=1, version="1", spec=spec, status=status)


def test_at_rest_the_serving_colour_may_shrink_to_what_the_spec_asks_for():
    assert floor(rollout(), Colour.BLUE, 5) == 2
    assert floor(rollout(), Colour.GREEN, 0) == 2


@given(st.sampled_from([TESTED, WARM]), st.sampled_from(Colour), st.integers(1, 500))
def test_while_two_versions_are_in_play_no_colour_shrinks(status, colour, replicas):
    assert floor(rollout(status), colour, replicas) == replicas
    spec = wanted(rollout(status), colour, replicas)["spec"]
    assert spec["minReplicas"] <= spec["maxReplicas"] >= 6


def test_a_colour_that_is_being_retired_is_not_grown_again():
    assert floor(rollout(), Colour.GREEN, 1) == 1


def test_each_colour_has_its_own_and_it_goes_with_the_rollout():
    made = wanted(rollout(), Colour.GREEN, 2)
    assert made["spec"]["scaleTargetRef"]["name"] == made["metadata"]["name"] == "payload-green"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert wanted(rollout(autoscaling=None), Colour.GREEN, 2) is None


@pytest.mark.parametrize(
    ("found", "same"),
    [
        ({"a": 1, "b": [{"c": 2, "more": 3}], "d": 4}, True),
        ({"a": 1, "b": [{"c": 3}]}, False),
        ({"a": 1, "b": [{"c": 2}, {"c": 2}]}, False),
        ({"a": 1}, False),
        ({"b": [{"c": 2}]}, False),
    ],
)
def test_what_the_server_adds_is_no_difference(found, same):
    assert holds(found, {"a": 1, "b": [{"c": 2}]}) is same


# --- on a real API server ---------------------------------------------------------------------------------------------


def deployment(name, replicas):
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"slipway.dev/rollout": "payload"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
        },
    }


def test_they_are_made_kept_and_removed_with_the_controllers_own_rights(control_plane):
    deployments, own = path_of(APPS, "dev", "deployments"), path_of(AUTOSCALING, "dev", PLURAL)
    for name, replicas in (("payload-blue", 4), ("payload-green", 0)):
        assert control_plane.request("POST", deployments, json=deployment(name, replicas)).status_code == 201

    def there():
        """Those that nobody has removed: here nobody collects what is to go."""
        found = control_plane.request("GET", own).json()["items"]
        return {it["metadata"]["name"]: it for it in found if "deletionTimestamp" not in it["metadata"]}

    def floors():
        return {name: it["spec"]["minReplicas"] for name, it in there().items()}

    async def play():
        async with Api(control_plane.config(CONTROLLER)) as api:
            kept = Autoscalers(api, "dev", "payload")
            await kept.keep(rollout(autoscaling=None))
            assert there() == {}
            await kept.keep(rollout())
            assert floors() == {"payload-blue": 2, "payload-green": 2}
            before = {it["metadata"]["resourceVersion"] for it in there().values()}
            await kept.keep(rollout())
            assert {it["metadata"]["resourceVersion"] for it in there().values()} == before, "nothing to change"
            await kept.keep(rollout(TESTED))
            assert floors() == {"payload-blue": 4, "payload-green": 2}
            # Somebody moves it by hand: it is as the spec says again.
            moved = there()["payload-blue"]
            moved["spec"]["maxReplicas"] = 100
            assert control_plane.request("PUT", f"{own}/payload-blue", json=moved).status_code == 200
            await kept.keep(rollout())
            assert there()["payload-blue"]["spec"]["maxReplicas"] == 6
            await kept.keep(replace(rollout(), spec=replace(rollout().spec, autoscaling=None)))
            assert there() == {}

    try:
        asyncio.run(play())
    finally:
        for name in ("payload-blue", "payload-green"):
            control_plane.request("DELETE", f"{deployments}/{name}")
