import pytest

from infra import tls
from slipway.cli import bench_stand
from slipway.cli.bench_stand import CONFIG, OURS, Serving, manifests
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec

WEB = {"app.kubernetes.io/name": "payload", "app.kubernetes.io/instance": "payload", "slipway.dev/role": "web"}
RETRIES = "retry-on conn-failure\nretries 3\n"
SERVING = Serving(
    pod={
        "serviceAccountName": "payload",
        "topologySpreadConstraints": [{"labelSelector": {"matchLabels": WEB}}],
        "initContainers": [{"name": "wait", "resources": {"limits": {"cpu": "1"}}}],
        "containers": [
            {
                "name": "service",
                "image": "registry.test/service@sha256:" + "a" * 64,
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"requests": {"cpu": "50m", "memory": "160Mi"}, "limits": {"cpu": "1", "memory": "384Mi"}},
            }
        ],
    },
    service={
        "metadata": {
            "annotations": {
                CONFIG: RETRIES,
                f"{OURS}timeout-server": "10s",
                f"{OURS}blue-green-mode": "deploy",
                f"{OURS}blue-green-balance": "slipway.dev/colour=blue=100",
                f"{OURS}initial-weight": "100",
                "pulumi.com/skipAwait": "true",
            }
        }
    },
    ingress={
        "metadata": {"annotations": {f"{OURS}hsts": "true", "pulumi.com/skipAwait": "true"}},
        "spec": {"ingressClassName": "haproxy"},
    },
)
HOST = "bench.payload.dev.slipway.test"


@pytest.fixture
def made():
    found = manifests(SERVING, namespace="dev", host=HOST, pair=tls.KeyPair("certificate", "key"))
    return {it["kind"]: it for it in found}


def test_no_service_of_the_platform_selects_the_pod_and_that_of_the_bench_does(made):
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert not WEB.items() <= labels.items()
    for selector in (made["Service"]["spec"]["selector"], made["Deployment"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    assert labels["slipway.dev/colour"] == "none"


def test_the_pod_is_that_of_the_version_but_for_its_cpu(made):
    pod, before = made["Deployment"]["spec"]["template"]["spec"], SERVING.pod
    [container], [original] = pod["containers"], before["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "160Mi"},
        "limits": {"cpu": "250m", "memory": "384Mi"},
    }
    assert {**container, "resources": original["resources"]} == original
    assert "topologySpreadConstraints" not in pod
    assert (pod["initContainers"], pod["serviceAccountName"]) == (before["initContainers"], "payload")
    assert original["resources"]["limits"]["cpu"] == "1", "what serves is not touched"


def test_haproxy_is_told_what_it_is_told_of_the_service_but_no_weights(made):
    assert made["Service"]["metadata"]["annotations"] == {CONFIG: RETRIES, f"{OURS}timeout-server": "10s"}
    assert made["Ingress"]["metadata"]["annotations"] == {f"{OURS}hsts": "true"}
    assert made["Ingress"]["spec"]["tls"] == [{"hosts": [HOST], "secretName": "bench-ingress"}]
    assert made["Ingress"]["spec"]["rules"][0]["host"] == HOST


def test_the_control_keeps_the_backend_and_adds_an_address_that_nobody_has():
    spec = ClusterSpec(network="10.124.0.0/24")
    told = bench_stand.dead_endpoint(SERVING.service, spec)
    assert told == f"{RETRIES}server dead 10.124.0.199:9 weight 256\n"
    first, last = spec.load_balancer_range.split("-")
    known = {spec.gateway, spec.control_plane.address, *(node.address for node in spec.workers), first, last}
    assert "10.124.0.199" not in known


class Cluster:
    """The words of kubectl that ask what serves."""

    def __init__(self, status):
        self.status, self.asked = status, []

    def get(self, kind, name, *_):
        self.asked.append((kind, name))
        return [
            {"rollout": {"status": self.status}, "podtemplate": {"template": {"spec": {"containers": []}}}}.get(
                kind, {}
            )
        ]


def test_the_pod_is_made_from_the_template_of_the_version_that_serves():
    cluster = Cluster({"stable": {"hash": "abc1234567"}})
    assert bench_stand.serving(cluster, "dev").pod == {"containers": []}
    assert ("podtemplate", "payload-abc1234567") in cluster.asked


def test_without_a_version_that_serves_there_is_nothing_to_measure():
    with pytest.raises(NodeError, match="no version of payload in dev serves yet"):
        bench_stand.serving(Cluster({}), "dev")
