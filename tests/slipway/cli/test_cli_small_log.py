"""A small volume for the log of Postgres, against a cluster that does what the operator and Kubernetes do."""

import json

import pytest

from slipway.cli import small_log
from slipway.cli.small_log import NAME, SmallLog, volume
from slipway.cli.stores import PostgresStore
from slipway.node import small_disks
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec
from slipway.proof.clock import TookTooLongError

SPEC = ClusterSpec()
CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "2Gi"}},
    "storageClassName": "standard",
}
HEALTHY = "Cluster in healthy state"


class Cluster:
    """Three members on three nodes; a claim that is gone is made anew and takes the volume that is reserved for it."""

    def __init__(self):
        self.volumes, self.claims, self.leads, self.done = {}, {}, "postgres-1", []
        self.has_room, self.makes_anew = True, True
        self.files = 3  # of the log, ready for use
        for number in (1, 2, 3):
            self._provide(f"postgres-{number}-wal")

    def _provide(self, claim):
        reserved = [it["spec"]["claimRef"] for it in self.volumes.values() if it["spec"]["claimRef"]["name"] == claim]
        free = [it for it in reserved if "uid" not in it]  # once it was bound, no other claim of that name takes it
        for it in free:
            it["uid"] = claim
        self.claims[claim] = {**CLAIM, "volumeName": NAME if free else f"pvc-of-{claim}"}

    def get(self, kind, *words):
        if kind == "pod":
            return [{"spec": {"nodeName": f"node{words[0][-1]}"}}]
        if kind == "pvc":
            return [{"spec": self.claims[words[0]]}]
        assert kind == "pv"
        return [{"metadata": {"name": "other"}, "spec": {}}, *self.volumes.values()]

    def apply(self, objects):
        for it in objects:
            self.volumes[it["metadata"]["name"]] = it

    def __call__(self, verb, kind, *words, stdin=None, timeout=None):  # noqa: ARG002 -- the shape of it
        if verb == "get":
            status = {
                "readyInstances": 3, "currentPrimary": self.leads, "targetPrimary": self.leads, "phase": HEALTHY,
                "instancesStatus": {"healthy": ["postgres-1", "postgres-2", "postgres-3"]},
            }  # fmt: skip
            return json.dumps({"spec": {"instances": 3}, "status": status})
        if verb == "patch":
            self.leads = json.loads(words[-1].removeprefix("--patch="))["status"]["targetPrimary"]
            self.done.append(f"{self.leads} leads")
        elif verb == "exec":
            self.files -= 1
            if not self.has_room and self.files < 0:
                raise NodeError("the server closed the connection")
        elif (verb, kind) == ("delete", "pv"):
            self.volumes.pop(words[0], None)
        elif (verb, kind) == ("delete", "pvc"):
            self.done.append(f"{words[0]} made anew")
            if self.makes_anew:
                self._provide(words[1])
        return ""


class Clock:
    """Time passes only where it is waited for."""

    def __init__(self):
        self.at = 0.0

    def steady(self):
        return self.at

    def wait(self, seconds):
        self.at += seconds


@pytest.fixture
def cluster(monkeypatch):
    made = Cluster()

    def told(name):
        return lambda _spec, node, *_: made.done.append(f"{name} on {node.name}")

    for name in ("make", "remove"):
        monkeypatch.setattr(small_disks, name, told(name))

    def run(_spec, _node, *command):
        made.has_room = command[0] == "rm"
        return ""

    monkeypatch.setattr(small_disks, "on_node", run)
    return made


@pytest.fixture
def log(cluster):
    return SmallLog(cluster, PostgresStore(cluster), SPEC, Clock())


def test_a_member_is_made_anew_with_the_small_volume_and_leads(cluster, log):
    log.lend()
    assert cluster.done[-3:] == ["make on node2", "postgres-2 made anew", "postgres-2 leads"]
    assert cluster.claims["postgres-2-wal"]["volumeName"] == NAME


def test_it_is_filled_once_the_log_has_missed_the_room(cluster, log):
    log.lend()
    log.fill()
    assert (cluster.has_room, cluster.files) == (False, -1)
    log.free()
    assert cluster.has_room


def test_a_log_that_never_misses_it_is_no_full_volume(cluster, log):
    log.lend()
    cluster.files = 1000
    with pytest.raises(NodeError, match="has no room, and 64 files of it were begun all the same"):
        log.fill()


def test_taken_back_another_leads_and_nothing_of_it_is_left(cluster, log):
    log.lend()
    log.fill()
    cluster.done.clear()
    log.take_back()
    assert cluster.done == [
        "postgres-3 leads", "postgres-2 made anew", "remove on node1", "remove on node2", "remove on node3",
    ]  # fmt: skip
    assert (cluster.volumes, cluster.has_room) == ({}, True)
    assert cluster.claims["postgres-2-wal"]["volumeName"] == "pvc-of-postgres-2-wal"


def test_who_does_not_lead_is_made_anew_at_once(cluster, log):
    log.lend()
    cluster.leads = "postgres-1"
    cluster.done.clear()
    log.take_back()
    assert cluster.done[0] == "postgres-2 made anew"


def test_what_was_lent_half_way_is_taken_back(cluster, log):
    cluster.makes_anew = False
    with pytest.raises(TookTooLongError, match="postgres-2 to be made anew"):
        log.lend()
    cluster.done.clear()
    log.take_back()
    assert cluster.done == ["remove on node1", "remove on node2", "remove on node3"]
    assert cluster.volumes == {}


def test_where_nothing_was_lent_nothing_is_freed(cluster, log):
    log.free()
    log.take_back()
    assert cluster.done == ["remove on node1", "remove on node2", "remove on node3"]


def test_the_volume_is_for_one_claim_on_one_node_and_for_nobody_else():
    spec = volume("postgres-2", SPEC.node("node2"), CLAIM)["spec"]
    assert spec["claimRef"] == {"namespace": "data", "name": "postgres-2-wal"}
    assert spec["capacity"] == {"storage": "2Gi"}, "a claim takes no smaller one"
    assert spec["nodeAffinity"]["required"]["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node2"]}]}
    ]
    assert (spec["persistentVolumeReclaimPolicy"], spec["storageClassName"]) == ("Retain", "standard")
    assert small_log.SIZE < 2 * 1024**3
