import pytest

from slipway.cli.components import components


def workload(kind, name, ready, wanted, image="r:5000/slipway/x@sha256:" + "a" * 64):
    counted = {"DaemonSet": ({}, {"desiredNumberScheduled": wanted, "numberReady": ready})}
    spec, status = counted.get(kind, ({"replicas": wanted}, {"readyReplicas": ready}))
    template = {"spec": {"containers": [{"image": image}]}}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {**spec, "template": template},
        "status": status,
    }


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_is_ready_when_all_its_pods_are(kind):
    [whole] = components([workload(kind, "a", 2, 2)])
    [half] = components([workload(kind, "a", 1, 2)])
    assert (whole.ready, whole.detail, whole.version) == (True, "2/2", "x@aaaaaaaaaaaa")
    assert (half.ready, half.detail) == (False, "1/2")


def test_a_workload_scaled_to_nothing_is_ready():
    [it] = components([workload("Deployment", "a", 0, 0)])
    assert it.ready


def test_a_workload_whose_status_is_still_empty_is_not_ready():
    it = workload("Deployment", "a", 0, 2)
    it["status"] = {}
    assert [c.ready for c in components([it])] == [False]


def test_a_node_shows_its_version_and_address():
    node = {
        "kind": "Node",
        "metadata": {"name": "node1"},
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "addresses": [{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.34.4"},
        },
    }
    [it] = components([node])
    assert it.to_dict() == {"name": "node/node1", "ready": False, "version": "v1.34.4", "address": "10.0.0.1"}


def test_only_services_with_an_outside_address_are_parts():
    inner = {"kind": "Service", "metadata": {"name": "a", "namespace": "ns"}, "spec": {"type": "ClusterIP"}}
    outer = {"kind": "Service", "metadata": {"name": "b", "namespace": "ns"}, "spec": {"type": "LoadBalancer"}}
    given = {**outer, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.200"}]}}}
    assert [(c.name, c.ready) for c in components([inner, outer])] == [("address/ns/b", False)]
    assert [(c.address, c.ready) for c in components([given])] == [("10.0.0.200", True)]


def test_a_database_counts_its_instances():
    cluster = {
        "kind": "Cluster",
        "metadata": {"name": "postgres", "namespace": "data"},
        "spec": {"instances": 3, "imageName": "r:5000/slipway/postgres:17@sha256:" + "b" * 64},
        "status": {"readyInstances": 2},
    }
    [it] = components([cluster])
    assert (it.ready, it.detail, it.version) == (False, "2/3", "postgres:17@bbbbbbbbbbbb")
