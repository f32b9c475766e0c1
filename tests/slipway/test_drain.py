import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import drain
from slipway.drain import DrainError

NODE = "node-1"


def made(name, uid=None, *, owner="set", kind="ReplicaSet", node=NODE, ready=True, priority=0, **metadata):
    references = [{"kind": kind, "uid": owner, "controller": True}] if owner else []
    return {
        "metadata": {"namespace": "dev", "name": name, "uid": uid or name, "ownerReferences": references} | metadata,
        "spec": {"nodeName": node, "priority": priority},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def stuck(name, **options):
    pod = made(name, node="", ready=False, **options)
    pod["status"]["conditions"].append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"})
    return pod


class World:
    """Pods, an API server and time: an evicted pod ends after `ending` s, its successor is ready `starting` s later."""

    def __init__(self, pods, *, ending=3.0, starting=7.0, held=(), pinned=()):
        self.pods, self.ending, self.starting = list(pods), ending, starting
        self.held = dict(held)  # pod: until when its budget keeps it
        self.pinned = set(pinned)  # owners whose pods cannot go anywhere else
        self.now, self.events = 0.0, []
        self.cordoned, self.evicted, self.most_missing, self.answer = False, [], 0, None

    def steady(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        for at, act in sorted((one for one in self.events if one[0] <= self.now), key=lambda one: one[0]):
            self.events.remove((at, act))
            act()
        self.most_missing = max(self.most_missing, sum(not self.ready(pod) for pod in self.pods))

    @staticmethod
    def ready(pod):
        return pod["status"]["conditions"][0]["status"] == "True"

    def __call__(self, *arguments, stdin=None):
        if arguments == ("cordon", NODE):
            self.cordoned = True
            return ""
        if arguments[:2] == ("get", "pods"):
            on_node = any("spec.nodeName" in one for one in arguments)
            return json.dumps({"items": [pod for pod in self.pods if not on_node or pod["spec"]["nodeName"] == NODE]})
        assert arguments[0] == "create"
        assert self.cordoned
        wish = json.loads(stdin)
        name = wish["metadata"]["name"]
        assert arguments[1] == f"--raw=/api/v1/namespaces/dev/pods/{name}/eviction"
        if self.answer:
            raise RuntimeError(self.answer)
        if self.now < self.held.get(name, 0.0):
            raise RuntimeError("Error from server (TooManyRequests): Cannot evict pod")
        pod = next((one for one in self.pods if one["metadata"]["name"] == name), None)
        if pod is None:
            raise RuntimeError("Error from server (NotFound): pods not found")
        if pod["metadata"]["uid"] != wish["deleteOptions"]["preconditions"]["uid"]:
            raise RuntimeError("Error from server (Conflict): Precondition failed: UID in precondition")
        self.evict(pod)
        return ""

    def evict(self, pod):
        self.evicted.append(pod["metadata"]["name"])
        pod["metadata"]["deletionTimestamp"] = "now"
        owner = pod["metadata"]["ownerReferences"][0]["uid"]
        name = f"{pod['metadata']['name']}x"
        next_one = stuck(name, owner=owner) if owner in self.pinned else made(name, owner=owner, node="n2", ready=False)
        self.pods.append(next_one)
        self.events.append((self.now + self.ending, lambda: self.pods.remove(pod)))
        if owner not in self.pinned:
            status = next_one["status"]["conditions"][0]
            self.events.append((self.now + self.ending + self.starting, lambda: status.update(status="True")))

    def drain(self, **options):
        told = []
        drain.drain(self, NODE, within=options.pop("within", 600.0), progress=told.append, clock=self, **options)
        return told


def test_pods_go_one_after_the_other():
    world = World([made("a"), made("b"), made("c", owner="other"), made("elsewhere", node="n2")])
    told = world.drain()
    assert world.evicted == ["a", "b", "c"]
    assert world.most_missing == 1
    assert [pod["metadata"]["name"] for pod in world.pods] == ["elsewhere", "ax", "bx", "cx"]
    assert told[0] == "moving dev/a (1 of 3)"


def test_what_belongs_to_the_node_stays():
    daemon = made("daemon", kind="DaemonSet")
    static = made("static", owner=None, annotations={"kubernetes.io/config.mirror": "digest"})
    world = World([daemon, static, made("a")])
    world.drain()
    assert world.evicted == ["a"]


def test_what_matters_most_goes_last():
    order = drain.to_evict([made("a", priority=5), made("c"), made("b")])
    assert [pod["metadata"]["name"] for pod in order] == ["b", "c", "a"]


def test_a_pod_of_nobody_is_refused_before_anything_moves():
    world = World([made("a"), made("bare", owner=None)])
    with pytest.raises(DrainError, match=r"node-1 runs dev/bare, which nothing would start again"):
        world.drain()
    assert world.evicted == []


def test_a_budget_is_waited_for():
    world = World([made("a")], held={"a": 30.0})
    world.drain()
    assert world.evicted == ["a"]
    assert world.now >= 30.0


def test_a_budget_that_never_lets_go_is_named():
    world = World([made("a")], held={"a": 1e9})
    with pytest.raises(DrainError, match=r"node-1 still runs dev/a, which its disruption budget does not let go"):
        world.drain(within=60.0)
    assert 60.0 <= world.now < 60.0 + 2 * drain.EVERY


def test_a_pod_bound_to_the_node_is_not_waited_for():
    world = World([made("data", owner="store"), made("b")], pinned={"store"})
    world.drain()
    assert world.evicted == ["b", "data"]
    assert world.now < 3 * (3 + 7)


def test_a_replacement_that_never_comes_costs_its_patience_alone():
    world = World([made("a"), made("b", owner="other")], starting=1e9)
    world.drain()
    assert world.evicted == ["a", "b"]
    assert world.now == pytest.approx(2 * drain.REPLACED_WITHIN, abs=4 * drain.EVERY)


def test_a_pod_that_does_not_end_in_time_is_named():
    world = World([made("a")], ending=1e9)
    with pytest.raises(DrainError, match=r"dev/a on node-1 has not ended in time"):
        world.drain(within=90.0)


@pytest.mark.parametrize("answer", ["Error from server (NotFound): x", "Error from server (Conflict): x"])
def test_a_pod_that_went_by_itself_is_no_error(answer):
    world = World([made("a")])
    world.answer = answer
    world.events.append((0.0, world.pods.clear))
    world.drain()
    assert world.evicted == []


def test_another_refusal_is_passed_on():
    world = World([made("a")])
    world.answer = "Error from server (Forbidden): no"
    with pytest.raises(RuntimeError, match="Forbidden"):
        world.drain()


def test_by_the_machine_s_clock(monkeypatch):
    monkeypatch.setattr(drain, "EVERY", 0.01)
    pods = [made("a")]

    def kubectl(*_, stdin=None):
        if stdin:
            pods[:] = [made("ax", node="n2")]
        return json.dumps({"items": pods})

    drain.drain(kubectl, NODE, within=5.0)
    assert pods[0]["metadata"]["name"] == "ax"


@given(
    st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=6),
    st.sets(st.sampled_from(["x", "y", "z"])),
    st.floats(0.0, 20.0),
    st.floats(0.0, 20.0),
)
def test_whatever_the_pods_all_go_and_never_two_start_at_once(owners, pinned, ending, starting):
    pods = [made(f"p{number}", owner=owner) for number, owner in enumerate(owners)]
    world = World(pods, ending=ending, starting=starting, pinned=pinned)
    world.drain()
    assert sorted(world.evicted) == [f"p{number}" for number in range(len(owners))]
    assert not [pod for pod in world.pods if pod["spec"]["nodeName"] == NODE]
    assert world.most_missing <= 1 + sum(owner in pinned for owner in owners)
