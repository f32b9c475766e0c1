"""Traces: what is made, that only services may send spans, and that Jaeger is told of nothing it cannot reach."""

import socket
import subprocess
import sys

import pytest
from infra_stand_ins import BALANCED

from infra import naming
from infra.components import elasticsearch, traces
from infra.components.platform import Platform, PlatformConfig
from infra.parts import Store
from infra.profiles import PROFILES, ProfileName
from infra.settings import PlatformSettings

TRACES = {
    "kubernetes:apps/v1:Deployment": 1,
    "kubernetes:core/v1:ConfigMap": 1,
    "kubernetes:core/v1:Namespace": 1,
    "kubernetes:core/v1:Secret": 2,
    "kubernetes:core/v1:Service": 1,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 1,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 1,
    "pulumi-python:dynamic/slipway:GeneratedPassword": 1,
    "pulumi-python:dynamic/slipway:LocalImage": 1,
}


@pytest.fixture
def platform(deploy, release):
    def run(**settings):
        chosen = PlatformSettings(metrics=Store.OFF, **settings)
        return deploy(lambda: Platform("platform", PlatformConfig("test", BALANCED, chosen, release)))

    return run


def test_these_resources_keep_traces_and_no_others(platform):
    with_traces, without = platform(traces=Store.MANAGED).counts(), platform().counts()
    added = {kind: count - without.get(kind, 0) for kind, count in with_traces.items()}
    assert {kind: count for kind, count in added.items() if count} == TRACES


@pytest.mark.parametrize("profile", ProfileName)
def test_several_of_them_are_never_away_together(platform, profile):
    run = platform(traces=Store.MANAGED, profile=profile)
    spec = next(it for it in run.of("kubernetes:apps/v1:Deployment") if it.name == "jaeger").inputs["spec"]
    budgets = [it["metadata"]["name"] for it in run.objects() if it["kind"] == "PodDisruptionBudget"]
    assert spec["replicas"] == PROFILES[profile].jaeger_replicas
    assert ("jaeger" in budgets) == (PROFILES[profile].jaeger_replicas > 1)


def test_its_pods_begin_when_elasticsearch_listens(platform):
    run = platform(traces=Store.MANAGED)
    spec = next(it for it in run.of("kubernetes:apps/v1:Deployment") if it.name == "jaeger").inputs["spec"]
    (first,) = spec["template"]["spec"]["initContainers"]
    assert first["command"] == ["python3", "-c", traces.waiting(naming.ELASTICSEARCH_HOST, 9200)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", traces.waiting("127.0.0.1", port)], stdout=subprocess.PIPE) as process:
        assert b"refused" in process.stdout.readline()
        assert process.poll() is None
        with socket.create_server(("127.0.0.1", port)):
            assert process.wait(20) == 0


def test_services_send_spans_and_nobody_else_reaches_it(platform):
    run = platform(traces=Store.MANAGED)
    policies = [it for it in run.objects() if it["kind"] == "NetworkPolicy"]
    (own,) = [it["spec"] for it in policies if it["metadata"]["namespace"] == naming.Namespace.TRACES]
    (rule,) = own["ingress"]
    assert rule["ports"] == [{"port": naming.OTLP_PORT, "protocol": "TCP"}]
    ((source,),) = (it["namespaceSelector"]["matchExpressions"] for it in rule["from"])
    assert set(source["values"]) == {it.value for it in naming.Environment}


def test_a_platform_without_traces_has_no_user_for_them(platform):
    def users(run):
        secrets = {it.inputs["metadata"]["name"]: it.inputs["stringData"] for it in run.of("kubernetes:core/v1:Secret")}
        return {line.partition(":")[0] for line in secrets[naming.ELASTICSEARCH]["users"].splitlines()}

    assert users(platform()) == set(elasticsearch.ROLES)
    assert users(platform(traces=Store.MANAGED)) == {*elasticsearch.ROLES, elasticsearch.TRACER}


def test_its_user_reaches_the_indices_of_traces_and_no_others():
    assert [set(it["names"]) for it in elasticsearch.TRACING["jaeger"]["indices"]] == [{f"{naming.TRACE_INDEX}-*"}]
    store = traces.settings(1)["extensions"]["jaeger_storage"]["backends"]["elasticsearch"]["elasticsearch"]
    # Jaeger puts its own word between the prefix and the kind.
    assert f"{store['indices']['index_prefix']}-jaeger" == naming.TRACE_INDEX
    assert store["indices"]["spans"]["replicas"] == 1


def test_every_port_that_is_open_to_others_speaks_tls():
    settings = traces.settings(0)
    assert settings["receivers"]["otlp"]["protocols"].keys() == {"http"}
    assert settings["receivers"]["otlp"]["protocols"]["http"]["tls"]
    query = settings["extensions"]["jaeger_query"]
    assert query["http"]["tls"]
    assert query["grpc"]["endpoint"].startswith("127.0.0.1:")
