import json
from dataclasses import replace

import pytest

from slipway.proof import data_drills, member_drills
from slipway.proof.bars import Limits
from slipway.proof.catalogue import Catalogue, DrillInfo, UnknownDrillError, minutes
from slipway.proof.clock import SystemClock
from slipway.proof.drills import catalogue
from slipway.proof.faults import FaultError, Switch, injected
from slipway.proof.kube import KubeError
from slipway.proof.surroundings import (
    ENOUGH,
    Leader,
    NothingToBreakError,
    Place,
    Restart,
    Surroundings,
    all_back,
    busiest_node,
    present,
    steady_pods,
    victim,
)
from slipway.proof.timeline import Timeline


class Certificate:
    """What the ingress shows, by serial numbers; 0 is a stranger's."""

    def __init__(self):
        self.own = self.seen = 7
        self.calls = []

    def issued(self):
        return self.own

    def shown(self):
        return frozenset({self.seen})

    def renew(self):
        self.calls.append("renew")
        self.own = self.seen = self.own + 1

    def show_strangers(self):
        self.calls.append("strangers")
        self.seen = 0

    def show_own(self):
        self.calls.append("own")
        self.seen = self.own


APP = Place("dev", {"app": "x"}, "web")
REDIS = Place("data", {"app": "redis"}, "web")
POSTGRES = Place("data", {"app": "postgres"}, "web")
POOLER = Place("data", {"app": "pooler"}, "web")
OPERATOR = Place("cnpg", {"app": "operator"}, "manager")
INGRESS = Place("ingress", {"app": "x"}, "haproxy")


class Nodes:
    def __init__(self):
        self.calls = []

    def stop(self, name):
        self.calls.append(f"stop {name}")

    def start(self, name):
        self.calls.append(f"start {name}")

    def cut_off(self, name):
        self.calls.append(f"cut off {name}")

    def join(self, name):
        self.calls.append(f"join {name}")

    def remove(self, name):
        self.calls.append(f"remove {name}")

    def stop_control_plane(self):
        self.calls.append("stop")

    def start_control_plane(self):
        self.calls.append("start")

    def stop_all(self):
        self.calls.append("stop all")

    def start_all(self):
        self.calls.append("start all")


class Store:
    """Postgres or Redis: one member leads, and hands over to the next in the list when asked."""

    def __init__(self, *pods):
        self.pods, self.lives, self.held, self.rolls = list(pods), 1, False, 0

    def leader(self):
        return Leader(self.pods[0], str(self.lives)) if self.pods else None

    def hand_over(self):
        self.lives += 1
        self.pods.append(self.pods.pop(0))

    def roll(self):
        self.rolls += 1

    def hold_replicas(self):
        self.held = True

    def free_replicas(self):
        self.held = False


class LogVolume:
    def __init__(self):
        self.calls = []

    def lend(self):
        self.calls.append("lend")

    def fill(self):
        self.calls.append("fill")

    def free(self):
        self.calls.append("free")

    def take_back(self):
        self.calls.append("take back")


@pytest.fixture
def surroundings(kube, plan, records):
    for number, node in enumerate(["node-1", "node-2", "node-2"]):
        kube.add(f"web-{number}", node=node)
    kube.add("haproxy-0", namespace="ingress", node="node-3")
    for number in range(3):
        for name in ("redis", "postgres"):
            labels = {"app": name}
            kube.add(
                f"{name}-{number}", namespace="data", node=f"node-{number + 1}", labels=labels, others=("sentinel",)
            )
    for number in range(2):
        kube.add(f"pooler-rw-{number}", namespace="data", labels={"app": "pooler"})
        kube.add(f"pooler-ro-{number}", namespace="data", labels={"app": "pooler"})
        kube.add(f"operator-{number}", namespace="cnpg", labels={"app": "operator"})
    ran = []

    def on_node(node, command):
        ran.append((node, list(command)))
        return "10 postgres\n" if "/comm" in command[2] else "10 1\n"

    made = Surroundings(
        kube=kube, on_node=on_node, nodes=Nodes(), app=APP, ingress=INGRESS,
        plan=plan, connect=records.connect, without_protection=Switch("no protection", lambda: None, lambda: None),
        without_ingress_drain=Switch("no drain", lambda: None, lambda: None),
        others={"redis": REDIS, "postgres": POSTGRES, "postgres-operator": OPERATOR, "postgres-pooler": POOLER},
        redis=Store("redis-1", "redis-0"),
        postgres=Store("postgres-2", "postgres-0", "postgres-1"), log_volume=LogVolume(), certificate=Certificate(),
    )  # fmt: skip
    ran.clear()
    return made


def test_the_list_names_every_drill_with_bars_and_controls():
    described = json.loads(json.dumps(catalogue().described()))
    assert [one["name"] for one in described] == [
        "app-pod-deleted", "app-pod-killed", "haproxy-pod-deleted", "node-drain", "node-lost", "control-plane",
        "cold-restart", "certificate-rotation", "redis-master", "postgres-primary", "postgres-switchover",
        "postgres-replica", "replication-paused", "postgres-operator", "postgres-pooler", "redis-sentinel",
        "data-at-once", "data-rolled", "node-cut-off", "node-removed", "postgres-volume-full",
    ]  # fmt: skip
    for one in described:
        assert one["bars"]
        assert one["controls"]
        assert one["minutes"] > 0


def test_names_are_unique_and_known():
    made = catalogue()
    with pytest.raises(ValueError, match="already"):
        made.add(made.get("node-drain"))
    with pytest.raises(UnknownDrillError, match=r"^there is no drill 'x'; there are: app-pod-deleted, "):
        made.get("x")
    with pytest.raises(ValueError, match="negative control"):
        Catalogue().add(DrillInfo("x", "x", ("bar",), (), 1, made.get("node-drain").build))


@pytest.mark.parametrize("info", catalogue().listed(), ids=lambda info: info.name)
def test_each_drill_can_be_built_and_broken_and_is_ready_again(info, surroundings, kube):
    drill = info.build(surroundings)
    assert drill.name == info.name
    assert drill.without_protection is not None or drill.connect is not None
    assert (drill.limits.lost is not None) == (drill.connect is not None)
    if info.name != "postgres-switchover":
        assert drill.ready()
    fault = drill.next_fault(0)
    fault.inject()
    fault.heal()
    killed = {"app-pod-killed", "redis-master", "postgres-primary", "postgres-replica", "redis-sentinel"}
    if info.name in {*killed, "postgres-pooler", "cold-restart", "data-rolled"}:
        assert not drill.ready()  # ready only when the container was started again
        kube.all = [replace(p, containers=(replace(p.containers[0], restarts=1),)) for p in kube.all]
    assert drill.ready()


def test_what_the_drills_hold(surroundings):
    limits = {info.name: info.build(surroundings).limits for info in catalogue().listed()}
    assert limits["app-pod-deleted"] == Limits(requests=20_000, failed=0, unkeyed_failed=0)
    assert limits["app-pod-killed"] == Limits(requests=20_000, failed=0, unkeyed_failed=None, lost=0)
    assert (limits["node-lost"].reads_stall, limits["node-lost"].writes_stall) == (15.0, 30.0)
    assert catalogue().get("node-lost").build(surroundings).plan.stall == 20.0


def test_certificates_are_made_anew_and_each_request_sees_what_is_shown(surroundings):
    drill = catalogue().get("certificate-rotation").build(surroundings)
    assert drill.plan.reconnect
    assert drill.limits == Limits(requests=20_000, failed=0, unkeyed_failed=0, lost=0)
    assert drill.ready()
    surroundings.certificate.seen = 6  # one HAProxy still shows the one before
    assert not drill.ready()
    surroundings.certificate.shown = lambda: frozenset({6, 7})
    assert not drill.ready()


def test_certificates_that_stay_the_same_were_not_made_anew(surroundings):
    drill = catalogue().get("certificate-rotation").build(surroundings)
    surroundings.certificate.renew = lambda: None
    with pytest.raises(FaultError, match="certificate 7 of the ingress was to be made anew"):
        drill.next_fault(0).inject()


def test_in_the_control_a_stranger_takes_the_place_of_the_own_certificate(surroundings):
    drill, certificate = catalogue().get("certificate-rotation").build(surroundings), surroundings.certificate
    drill.without_protection.inject()
    assert drill.ready()
    fault = drill.next_fault(0)
    fault.inject()
    assert not drill.ready()
    fault.heal()
    assert drill.ready()
    drill.without_protection.heal()
    drill.next_fault(1).inject()
    assert certificate.calls == ["strangers", "own", "renew"]


def test_an_ingress_that_does_not_answer_shows_nothing(surroundings):
    drill = catalogue().get("certificate-rotation").build(surroundings)

    def refused():
        raise ConnectionRefusedError

    surroundings.certificate.shown = refused
    assert not drill.ready()
    with pytest.raises(NothingToBreakError, match="cannot be changed from here"):
        catalogue().get("certificate-rotation").build(replace(surroundings, certificate=None))


def test_who_leads_redis_is_killed_and_deleted_in_turn(surroundings):
    drill = catalogue().get("redis-master").build(surroundings)
    names = [drill.next_fault(number).name for number in range(3)]
    assert names == ["kill -9 redis-1/web", "delete pod redis-1 at once", "kill -9 redis-1/web"]
    assert drill.limits == Limits(requests=20_000, failed=0, unkeyed_failed=0, led_again=10.0, undelivered=0, lost=0)
    assert drill.shape.times == 20


def test_a_succession_is_another_leader_or_the_same_in_another_life(surroundings):
    drill = catalogue().get("redis-master").build(surroundings)
    drill.next_fault(0)
    assert not drill.leads()
    surroundings.redis.lives += 1
    assert drill.leads()
    drill.next_fault(1)
    assert not drill.leads()
    surroundings.redis.hand_over()
    assert drill.leads()
    surroundings.redis.pods.clear()
    assert not drill.leads()


def test_server_keeper_and_pod_of_the_primary_are_killed_in_turn(surroundings):
    drill = catalogue().get("postgres-primary").build(surroundings)
    names = [drill.next_fault(number).name for number in range(4)]
    assert names == [
        "kill -9 postgres in postgres-2/web", "kill -9 postgres-2/web", "delete pod postgres-2 at once",
        "kill -9 postgres in postgres-2/web",
    ]  # fmt: skip
    assert drill.limits == Limits(requests=20_000, failed=0, unkeyed_failed=0, outage_p95=15.0, lost=0)
    assert (drill.plan.allow_503, drill.shape.times) == (True, 20)


def test_each_member_meets_each_way_so_that_no_container_is_killed_again_and_again(surroundings):
    drill = catalogue().get("postgres-primary").build(surroundings)
    met: dict[str, list[str]] = {}
    for number in range(6):
        member = surroundings.postgres.leader().pod
        met.setdefault(member, []).append(drill.next_fault(number).name.replace(member, "it"))
        surroundings.postgres.hand_over()
    ways = ["kill -9 postgres in it/web", "kill -9 it/web", "delete pod it at once"]
    assert len(met) > 1
    assert all(it == ways[: len(it)] for it in met.values())


def test_a_switchover_is_over_when_another_leads_and_no_503_is_allowed_meanwhile(surroundings):
    drill = catalogue().get("postgres-switchover").build(surroundings)
    assert not drill.plan.allow_503
    assert drill.limits == Limits(requests=20_000, failed=0, unkeyed_failed=0, lost=0)
    hand_over, surroundings.postgres.hand_over = surroundings.postgres.hand_over, lambda: None
    drill.next_fault(0).inject()
    assert not drill.ready()
    hand_over()
    assert drill.ready()


def test_the_log_of_who_leads_has_a_small_volume_before_there_is_load_and_loses_its_room(surroundings):
    drill = catalogue().get("postgres-volume-full").build(surroundings)
    with injected(drill.setting, Timeline(SystemClock())):
        drill.next_fault(0).inject()
        drill.next_fault(0).heal()
    assert surroundings.log_volume.calls == ["lend", "fill", "free", "take back"]
    assert drill.limits == Limits(requests=1, failed=0, unkeyed_failed=0, outage_p95=120.0, lost=0)
    assert (drill.plan.allow_503, drill.shape.hold) == (True, 60.0)
    with pytest.raises(NothingToBreakError, match="cannot be made small from here"):
        catalogue().get("postgres-volume-full").build(replace(surroundings, log_volume=None))


@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_without_a_leader_there_is_nothing_to_kill_and_nothing_is_ready(surroundings, name):
    drills = [it for it in data_drills.listed() if it.name.startswith(name)]
    nobody = replace(surroundings, **{name: Store()})
    drill = drills[0].build(nobody)
    assert not drill.ready()
    with pytest.raises(NothingToBreakError, match="who leads is 'nobody'"):
        drill.next_fault(0)
    for info in drills:
        with pytest.raises(NothingToBreakError, match="this platform brings no"):
            info.build(replace(surroundings, **{name: None}))


def test_only_followers_are_killed_each_in_turn(surroundings):
    drill = catalogue().get("postgres-replica").build(surroundings)
    assert [drill.next_fault(number).name for number in range(3)] == [
        "kill -9 postgres-0/web", "kill -9 postgres-1/web", "kill -9 postgres-0/web",
    ]  # fmt: skip


def test_a_primary_without_replicas_leaves_none_to_kill(surroundings, kube):
    drill = catalogue().get("postgres-replica").build(surroundings)
    kube.all = [pod for pod in kube.all if pod.name not in {"postgres-0", "postgres-1"}]
    with pytest.raises(NothingToBreakError, match="postgres-2 leads, and no replica of it is ready"):
        drill.next_fault(0)


def test_each_pooler_is_killed_in_turn_and_writes_may_be_put_off(surroundings):
    drill = catalogue().get("postgres-pooler").build(surroundings)
    names = [drill.next_fault(number).name for number in range(5)]
    assert names == [f"kill -9 pooler-{it}/web" for it in ("ro-0", "ro-1", "rw-0", "rw-1", "ro-0")]
    assert (drill.plan.allow_503, drill.limits.failed, drill.limits.lost, drill.shape.times) == (True, 0, 0, 8)


def test_a_platform_without_poolers_has_none_to_kill(surroundings, kube):
    kube.all = [pod for pod in kube.all if "pooler" not in pod.name]
    with pytest.raises(NothingToBreakError, match="see slipway-platform:poolers"):
        catalogue().get("postgres-pooler").build(surroundings)


def test_sentinels_are_killed_and_not_the_redis_beside_them(surroundings):
    drill = catalogue().get("redis-sentinel").build(surroundings)
    names = [drill.next_fault(number).name for number in range(4)]
    assert names == [f"kill -9 redis-{number}/sentinel" for number in (0, 1, 2, 0)]


def test_replicas_are_held_and_freed_and_own_writes_are_read_meanwhile(surroundings):
    drill = catalogue().get("replication-paused").build(surroundings)
    fault = drill.next_fault(0)
    fault.inject()
    assert surroundings.postgres.held
    fault.heal()
    assert not surroundings.postgres.held
    assert (drill.limits.missed, drill.limits.lost, drill.own) == (0, 0, surroundings.connect)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("postgres-operator", {"operator-0", "operator-1"}),
        ("data-at-once", {f"{store}-{number}" for store in ("redis", "postgres") for number in range(3)}),
    ],
)
def test_all_pods_of_a_kind_are_deleted_at_once(surroundings, kube, name, gone):
    catalogue().get(name).build(surroundings).next_fault(0).inject()
    (call,) = kube.calls
    assert set(call[2]) == gone
    assert call[3]


@pytest.mark.parametrize("name", ["postgres-operator", "data-at-once", "cold-restart"])
def test_pods_that_are_not_there_are_not_all_deleted(surroundings, kube, name):
    """A drill that breaks nothing would pass."""
    drill = catalogue().get(name).build(surroundings)
    kube.all = [pod for pod in kube.all if not pod.name.startswith(("operator", "redis"))]
    with pytest.raises(NothingToBreakError, match="no ready pod in"):
        drill.next_fault(0)


def test_only_what_a_platform_has_is_looked_at(surroundings, kube):
    kube.all = [pod for pod in kube.all if not pod.name.startswith("redis")]
    assert present(kube, surroundings.others) == {
        "postgres": POSTGRES,
        "postgres-operator": OPERATOR,
        "postgres-pooler": POOLER,
    }


def test_each_store_is_rolled_and_ready_once_no_pod_of_it_is_the_one_before(surroundings, kube):
    drill = catalogue().get("data-rolled").build(surroundings)
    assert drill.shape.times == 2
    for number, (name, store) in enumerate((("postgres", surroundings.postgres), ("redis", surroundings.redis))):
        drill.next_fault(number).inject()
        assert store.rolls == 1
        for member in range(3):
            assert not drill.ready()
            was = next(pod for pod in kube.all if pod.name == f"{name}-{member}")
            kube.all[kube.all.index(was)] = replace(was, uid="another")
        assert drill.ready()


def test_where_redis_is_elsewhere_postgres_alone_is_rolled(surroundings):
    drill = catalogue().get("data-rolled").build(replace(surroundings, redis=None))
    assert (drill.shape.times, drill.next_fault(0).name) == (1, "give every member of Postgres a new pod")


@pytest.mark.parametrize("name", ["cold-restart", "data-at-once", "node-cut-off", "node-removed"])
def test_everything_is_back_only_when_somebody_takes_writes_in_each_store(surroundings, kube, name):
    drill = catalogue().get(name).build(surroundings)
    drill.next_fault(0)
    kube.all = [replace(p, containers=(replace(p.containers[0], restarts=1),)) for p in kube.all]
    assert drill.ready()
    surroundings.redis.pods.clear()
    assert not drill.ready()
    assert catalogue().get(name).build(surroundings).plan.stall is not None or name == "data-at-once"


def test_after_a_cold_restart_every_pod_must_have_been_started_anew(surroundings, kube):
    """Just after it the API knows what it knew before: all were ready."""
    drill = catalogue().get("cold-restart").build(surroundings)
    drill.next_fault(0)
    before = list(kube.all)
    kube.all = [replace(p, containers=(replace(p.containers[0], restarts=1),)) for p in before]
    assert drill.ready()
    for number, pod in enumerate(before):
        kept, kube.all[number] = kube.all[number], pod
        assert not drill.ready()
        kube.all[number] = kept


def test_after_a_cold_restart_all_of_the_platform_must_be_ready_not_only_what_serves(surroundings, kube):
    kube.add("elasticsearch-0", namespace="logs", labels={"app": "elasticsearch"})
    kube.add("log-keeper", namespace="logs", labels={"app": "keeper"})
    drill = catalogue().get("cold-restart").build(replace(surroundings, namespaces=["logs", "traces"]))
    drill.next_fault(0)
    kube.all = [replace(p, containers=(replace(p.containers[0], restarts=1),)) for p in kube.all]
    assert drill.ready()
    for number, pod in enumerate(kube.all):
        if pod.namespace == "logs":
            kube.all[number] = replace(pod, ready=False)
            assert not drill.ready()
            kube.all[number] = pod


def test_minutes_follow_the_rate_and_the_counts(surroundings):
    def told(name, *, rate=200, requests=ENOUGH, times=None):
        info = catalogue().get(name)
        drill = made = info.build(replace(surroundings, requests=requests))
        drill = replace(drill, plan=replace(drill.plan, rate=rate, min_requests=1))
        shape = drill.shape if times is None else replace(drill.shape, times=times)
        return minutes(info, made, replace(drill, shape=shape))

    assert told("app-pod-killed") == catalogue().get("app-pod-killed").minutes
    assert told("app-pod-killed", rate=50) > told("app-pod-killed", rate=100) > told("app-pod-killed")
    assert told("app-pod-killed", rate=50, requests=1000) == told("app-pod-killed")
    # Twenty kills take longer than 20,000 requests at 50 a second, and not than at 5.
    assert told("postgres-primary", rate=50) == told("postgres-primary") < told("postgres-primary", rate=5)
    assert told("postgres-primary", times=2) < told("postgres-primary") / 2
    # What counts no requests takes as long at any rate.
    assert told("control-plane", rate=1) == told("control-plane")


def test_the_node_of_the_primary_is_lost_with_its_disk(surroundings):
    fault = catalogue().get("node-removed").build(surroundings).next_fault(0)
    fault.inject()
    fault.heal()
    assert surroundings.nodes.calls == ["stop node-3", "remove node-3", "start node-3"]


def test_the_node_of_the_primary_is_cut_off(surroundings):
    fault = catalogue().get("node-cut-off").build(surroundings).next_fault(0)
    fault.inject()
    fault.heal()
    assert surroundings.nodes.calls == ["cut off node-3", "join node-3"]


@pytest.mark.parametrize("info", member_drills.listed(), ids=lambda info: info.name)
def test_a_drill_of_members_says_what_the_platform_lacks(info, surroundings):
    with pytest.raises(NothingToBreakError, match="this platform brings no"):
        info.build(replace(surroundings, others={}, postgres=None))
    if info.name not in {"postgres-operator", "postgres-pooler", "redis-sentinel"}:
        with pytest.raises(NothingToBreakError, match="see slipway-platform:postgres"):
            info.build(replace(surroundings, postgres=None))


def test_an_api_that_does_not_answer_is_not_ready(surroundings, monkeypatch):
    answer = all_back(surroundings)

    def silent():
        raise KubeError("connection refused")

    monkeypatch.setattr(surroundings.kube, "ready_nodes", silent)
    assert not answer()


def test_nodes_are_lost_and_given_back(surroundings, kube):
    fault = catalogue().get("node-lost").build(surroundings).next_fault(0)
    fault.inject()
    fault.heal()
    assert surroundings.nodes.calls == ["stop node-2", "start node-2"]
    fault = catalogue().get("cold-restart").build(surroundings).next_fault(0)
    fault.inject()
    fault.heal()
    assert surroundings.nodes.calls[2:] == ["stop all", "start all"]
    fault = catalogue().get("node-drain").build(surroundings).next_fault(0)
    fault.inject()
    assert kube.ready_nodes() == {"node-1", "node-3"}
    fault.heal()
    assert kube.calls == [("drain", "node-2", 600.0), ("uncordon", "node-2")]


def test_unprotected_the_pods_of_the_busiest_node_are_killed(surroundings):
    fault = catalogue().get("node-drain").build(surroundings).unprotected(0)
    assert fault.name == "kill -9 web-1/web and kill -9 web-2/web"


def test_victims_take_turns_and_only_steady_pods_are_taken(kube):
    kube.add("a")
    kube.add("b", ready=False)
    kube.add("c")
    kube.all.append(replace(kube.all[0], name="d", leaving=True))
    assert [pod.name for pod in steady_pods(kube, APP)] == ["a", "c"]
    assert [victim(kube, APP, n).name for n in range(3)] == ["a", "c", "a"]


def test_nothing_to_break_is_said(kube):
    with pytest.raises(NothingToBreakError, match="no ready pod in dev"):
        victim(kube, APP, 0)
    with pytest.raises(NothingToBreakError, match="no ready pod in dev"):
        busiest_node(kube, APP)


def test_all_back_compares_with_the_beginning(surroundings, kube):
    answer = all_back(surroundings)
    assert answer()
    kube.nodes.discard("node-1")
    assert not answer()
    kube.nodes.add("node-9")
    assert answer()
    kube.all.pop()
    assert not answer()


def test_the_restart_of_what_was_killed_is_waited_for(kube):
    kube.add("a", restarts=3)
    kube.add("b", restarts=9)
    restart = Restart(kube)
    assert restart.seen()
    restart.expect(kube.pods(APP.namespace, APP.labels)[0])
    assert not restart.seen()
    kube.all.clear()
    kube.add("a", restarts=4)
    assert restart.seen()


def test_of_several_killed_pods_each_is_waited_for(kube, monkeypatch):
    kube.add("a", labels={"app": "x", "number": "0"})
    kube.add("b", labels={"app": "x", "number": "1"})
    kube.add("c", namespace="data", labels={"app": "y"})
    restart = Restart(kube)
    restart.expect(*kube.all)
    for number in range(3):
        assert not restart.seen()
        kube.all[number] = replace(kube.all[number], containers=(replace(kube.all[number].containers[0], restarts=1),))
    assert restart.seen()

    def silent(_namespace, _labels):
        raise KubeError("connection refused")

    monkeypatch.setattr(kube, "pods", silent)
    assert not restart.seen()


def test_a_killed_pod_that_was_replaced_is_not_waited_for(kube):
    """A control replaces the pods: their counts begin anew, and would never reach that of the pod before."""
    kube.add("a", restarts=3)
    restart = Restart(kube)
    restart.expect(kube.pods(APP.namespace, APP.labels)[0])
    kube.all.clear()
    kube.add("b", restarts=0)
    assert restart.seen()
