"""What only a real API server can say about the CRD: its schema, its CEL rules, compare-and-swap."""

import asyncio
import copy
import uuid
from dataclasses import replace

import pytest

from slipway.rollout import resource
from slipway.rollout.api import LEASES, ROLLOUTS, Api, Refused, path_of
from slipway.rollout.lease import Leadership
from slipway.rollout.loop import Conflict
from slipway.rollout.status import Colour, Condition, Intent, MetricState, Phase, Revision, RolloutStatus

IMAGE = "registry.test/app@sha256:" + "a" * 64
METRIC = {"name": "errors", "source": "error-ratio", "maximum": 0.01}
SPEC = {"service": "payload", "template": "payload", "image": IMAGE}
PATH = path_of(ROLLOUTS, "rules", "rollouts")


def body(spec):
    name = f"r{uuid.uuid4().hex[:8]}"
    return {"apiVersion": resource.API_VERSION, "kind": "Rollout", "metadata": {"name": name}, "spec": spec}


def test_a_minimal_object_is_accepted_and_its_defaults_are_ours(control_plane):
    made = control_plane.request("POST", PATH, json=body(SPEC))
    assert made.status_code == 201, made.text
    assert resource.parse(made.json()).spec == resource.SPEC.validate_python(SPEC)
    assert made.json()["spec"]["rollbackWindow"] == "1h"


def test_a_rich_object_is_accepted_and_read_back_as_it_was(control_plane):
    spec = SPEC | {
        "strategy": {"canary": {"steps": [{"weight": 5, "pause": "30s"}, {"weight": 50, "approval": True}]}},
        "analysis": {
            "metrics": [METRIC, {"name": "k6", "job": {"image": IMAGE, "args": ["run"], "configMap": "k6"}}],
            "soak": "1m",
        },
        "config": [{"kind": "ConfigMap", "name": "payload"}, {"kind": "Secret", "name": "payload"}],
        "migrations": {"contract": True, "container": "wait-for-migrations"},
        "workers": {"template": "payload-worker", "replicas": 1},
        "autoscaling": {"maxReplicas": 6, "cpu": 80, "scaleDownSeconds": 60},
        "connections": {"perReplica": 5, "maximum": 100},
        "approve": {"revision": "abc", "by": "admin", "gate": "preview"},
    }
    made = control_plane.request("POST", PATH, json=body(spec))
    assert made.status_code == 201, made.text
    read = resource.parse(made.json()).spec
    assert read == resource.SPEC.validate_python(spec)
    assert resource.SPEC.validate_python(resource.dump_spec(read)) == read


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"service": "payload", "template": "payload"}, "spec.image: Required"),
        (SPEC | {"image": "registry.test/app:1.0"}, "should match"),
        (SPEC | {"rollbackWindow": "1 hour"}, "should match"),
        (SPEC | {"replicas": 0}, "greater than or equal to 1"),
        (SPEC | {"replicas": 3, "autoscaling": {"maxReplicas": 2}}, "maxReplicas: not below replicas"),
        (
            SPEC | {"strategy": {"canary": {"steps": [{"weight": 5}]}, "blueGreen": {}}},
            "choose canary or blueGreen, not both",
        ),
        (SPEC | {"strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 5}]}}}, "weights must rise"),
        (SPEC | {"strategy": {"canary": {"steps": [{"weight": 5}, {"weight": 5}]}}}, "weights must rise"),
        (SPEC | {"strategy": {"canary": {"steps": []}}}, "at least 1 items"),
        (SPEC | {"analysis": {"metrics": [{"name": "m", "maximum": 1}]}}, "exactly one of source"),
        (
            SPEC | {"analysis": {"metrics": [METRIC | {"job": {"image": IMAGE}}]}},
            "exactly one of source",
        ),
        (SPEC | {"analysis": {"metrics": [{"name": "m", "source": "error-ratio"}]}}, "cannot fail"),
        (SPEC | {"analysis": {"metrics": [METRIC, METRIC]}}, "Duplicate value"),
        (SPEC | {"abort": {"revision": "", "by": "erin"}}, "name the revision"),
        (SPEC | {"approve": {"revision": "abc", "by": "ada"}}, "name the revision and the gate"),
    ],
)
def test_a_wrong_object_is_refused_with_its_reason(control_plane, spec, says):
    made = control_plane.request("POST", PATH, json=body(spec))
    assert made.status_code == 422, made.text
    assert says in made.json()["message"]


def full_status() -> RolloutStatus:
    revision = Revision(hash="abc", image=IMAGE, number=2, colour=Colour.GREEN)
    return RolloutStatus(
        phase=Phase.ANALYSING,
        candidate=revision,
        stable=replace(revision, hash="def", colour=Colour.BLUE),
        intent=Intent(candidate_weight=5, blue=95, green=5, initial=100, since=1.5, routers={"haproxy-0": "0/1"}),
        since=1700000000.25,
        until=1700000060.0,
        metrics=(MetricState(name="errors", next_at=1700000005.5, value=0.001, samples=812.0),),
        conditions=(Condition(type="X", status="True", reason="X", message="m", last_transition_time=1.0),),
    )


def test_the_status_is_kept_whole_and_written_by_compare_and_swap_only(control_plane):
    made = control_plane.request("POST", PATH, json=body(SPEC)).json()
    path = f"{PATH}/{made['metadata']['name']}/status"
    first = copy.deepcopy(made) | {"status": resource.dump_status(full_status())}
    written = control_plane.request("PUT", path, json=first)
    assert written.status_code == 200, written.text
    assert resource.parse(written.json()).status == full_status()
    assert control_plane.request("PUT", path, json=first).status_code == 409


def test_a_write_of_the_status_cannot_change_the_spec(control_plane):
    made = control_plane.request("POST", PATH, json=body(SPEC)).json()
    changed = copy.deepcopy(made) | {"spec": made["spec"] | {"replicas": 9}, "status": {"phase": "Done"}}
    written = control_plane.request("PUT", f"{PATH}/{made['metadata']['name']}/status", json=changed).json()
    assert written["spec"]["replicas"] == 2
    assert written["status"]["phase"] == "Done"


def test_columns_for_people(control_plane):
    made = control_plane.request("POST", PATH, json=body(SPEC)).json()
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = control_plane.request("GET", f"{PATH}/{made['metadata']['name']}", headers=headers).json()
    assert [column["name"] for column in table["columnDefinitions"]][1:3] == ["Phase", "Weight"]


def test_the_client_tells_conflicts_and_refusals_apart(control_plane):
    async def go() -> None:
        async with Api(control_plane.config()) as api:
            made = await api.create(PATH, body(SPEC))
            path = f"{PATH}/{made['metadata']['name']}"
            with pytest.raises(Conflict):
                await api.create(PATH, made | {"metadata": {"name": made["metadata"]["name"]}})
            await api.merge(path, {"spec": {"replicas": 3}})
            with pytest.raises(Conflict):
                await api.replace(path, made)
            with pytest.raises(Refused, match="should match"):
                await api.merge(path, {"spec": {"image": "latest"}})
            assert await api.get(f"{PATH}/nobody") is None
        async with Api(control_plane.config("stranger")) as api:
            with pytest.raises(Refused, match="stranger"):
                await api.list(PATH)

    asyncio.run(go())


def test_one_of_two_leads_and_every_change_raises_the_number(control_plane):
    time = [0.0]

    async def go() -> None:
        async with Api(control_plane.config()) as api:
            name = f"lease-{uuid.uuid4().hex[:6]}"
            one = Leadership(api, "slipway-system", "one", lambda: time[0], name=name)
            two = Leadership(api, "slipway-system", "two", lambda: time[0], name=name)
            assert await one.acquire() == 1
            assert await two.acquire() is None
            time[0] += 8
            assert await one.acquire() == 1, "a renewal is no change of the leader"
            assert await two.acquire() is None
            time[0] += 8
            assert await two.acquire() is None, "the renewal was seen only now"
            time[0] += 11
            assert await two.acquire() == 2
            assert await one.acquire() is None, "the old leader learns of it before it acts"
            await two.release()
            assert await one.acquire() == 3, "a lease given up can be taken at once"
            again = Leadership(api, "slipway-system", "one-restarted", lambda: time[0], name=name)
            assert await again.acquire() is None, "a restarted process does not take itself for the old one"
            assert (await api.get(path_of(LEASES, "slipway-system", "leases", name))) is not None

    asyncio.run(go())
