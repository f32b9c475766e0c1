"""What objects request: each kind counted, and nothing that requests something left out."""

import pytest

from infra.footprint import Declared, FootprintError, Total, usages
from infra.footprint.live import measured

MI = 2**20
SMALL = {"requests": {"cpu": "100m", "memory": "64Mi"}}
BIG = {"requests": {"cpu": "1", "memory": "32Mi"}}
PARENTS = ("platform", "redis", "release")


def declared(kind, spec, **other):
    inputs = {"kind": kind, "metadata": {"name": "it"}, "spec": spec, **other}
    return Declared(f"kubernetes:apps/v1:{kind}", "resource", PARENTS, inputs)


def workload(kind, containers, **spec):
    return declared(kind, {"template": {"spec": {"containers": containers, **spec.pop("pod", {})}}, **spec})


def test_a_workload_is_its_containers_times_its_pods():
    (usage,) = usages([workload("Deployment", [{"resources": SMALL}, {"resources": BIG}, {}], replicas=3)], nodes=5)
    assert (usage.part, usage.name, usage.pods) == ("redis", "Deployment/it", 3)
    assert usage.each == Total(1100, 96 * MI)
    assert usage.total == Total(3300, 288 * MI)


def test_a_daemon_is_on_every_node():
    (usage,) = usages([workload("DaemonSet", [{"resources": SMALL}])], nodes=5)
    assert usage.pods == 5


def test_what_runs_before_counts_only_where_it_is_bigger():
    before = {"initContainers": [{"resources": BIG}]}
    (usage,) = usages([workload("Deployment", [{"resources": SMALL}], pod=before)], nodes=1)
    assert usage.each == Total(1000, 64 * MI)


def test_what_runs_before_and_stays_counts_in_full():
    before = {"initContainers": [{"resources": BIG, "restartPolicy": "Always"}]}
    (usage,) = usages([workload("Deployment", [{"resources": SMALL}], pod=before)], nodes=1)
    assert usage.each == Total(1100, 96 * MI)


def test_volumes_count_for_every_pod():
    claims = [{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}]
    spec = workload("StatefulSet", [{"resources": SMALL}], replicas=2, volumeClaimTemplates=claims)
    (usage,) = usages([spec], nodes=1)
    assert usage.total.disk == 4 * 2**30


def test_a_kind_that_is_not_known_is_not_left_out():
    with pytest.raises(FootprintError, match="Job 'resource' requests CPU"):
        usages([workload("Job", [{"resources": SMALL}])], nodes=1)


def test_a_place_that_is_not_understood_is_not_left_out():
    with pytest.raises(FootprintError, match="has 2 places that request something"):
        usages([workload("Deployment", [{"resources": SMALL}], pod={"resources": BIG})], nodes=1)


def test_a_prometheus_without_an_operator_that_says_more_is_refused():
    claim = {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}}
    with pytest.raises(FootprintError, match="config-reloader"):
        usages([declared("Prometheus", {"resources": SMALL, "storage": claim})], nodes=1)


def test_a_prometheus_counts_what_its_operator_puts_beside_it():
    arguments = ["--config-reloader-cpu-request=5m", "--config-reloader-memory-request=1Mi", "--other"]
    operator = workload("Deployment", [{"args": arguments}])
    claim = {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}}
    prometheus = declared("Prometheus", {"resources": SMALL, "storage": claim, "replicas": 2})
    total = sum((it.total for it in usages([operator, prometheus], nodes=1)), Total())
    assert total == Total(210, 130 * MI, 2 * 2**30)


@pytest.mark.parametrize(("asked", "pods"), [({}, 2), ({"workers": {"replicas": 1}}, 3)], ids=["without", "with"])
def test_workers_are_counted_beside_the_pods_that_serve(asked, pods):
    values = {"resources": {"requests": SMALL["requests"]}, "workers": {"resources": {"requests": SMALL["requests"]}}}
    chart = Declared("kubernetes:helm.sh/v4:Chart", "payload", ("service",), {"values": values})
    spec = {"kind": "Rollout", "spec": {"replicas": 2, **asked}}
    rollout = Declared("kubernetes:slipway.dev/v1alpha1:Rollout", "rollout", ("service",), spec)
    found = usages([chart, rollout], nodes=1)
    assert sum(usage.pods for usage in found) == pods
    assert sum((usage.total for usage in found), Total()) == found[0].each * pods


def test_a_chart_without_a_rollout_is_refused():
    chart = Declared("kubernetes:helm.sh/v4:Chart", "payload", ("service",), {"values": {"resources": SMALL}})
    with pytest.raises(FootprintError, match="has 0 Rollouts beside it"):
        usages([chart], nodes=1)


def test_what_is_used_is_told_by_namespace_and_nothing_is_hidden():
    def pod(namespace, name, phase="Running"):
        spec = {"containers": [{"resources": SMALL}, {}]}
        return {"metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": {"phase": phase}}

    figures = [
        {
            "metadata": {"namespace": "data", "name": "a"},
            "containers": [{"usage": {"cpu": "2000000n", "memory": "10Mi"}}, {"usage": {"cpu": "0", "memory": "0"}}],
        }
    ]
    pods = [pod("dev", "a"), pod("data", "a"), pod("data", "b"), pod("data", "c", "Succeeded")]
    data, dev = measured(pods, figures)
    assert (data.namespace, data.pods, data.unmeasured) == ("data", 2, 1)
    assert (data.requested, data.used) == (Total(200, 128 * MI), Total(2, 10 * MI))
    assert (dev.pods, dev.unmeasured, dev.used) == (1, 1, Total())
    assert data.to_dict()["used"] == {"cpu": 0.002, "memory": 10 * MI}
