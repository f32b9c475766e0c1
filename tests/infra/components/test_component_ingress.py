"""HAProxy is run exactly as it was measured to lose no request."""

from dataclasses import replace

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.components import ingress
from infra.components.ingress import Ingress, IngressConfig
from infra.components.ingress_access import cluster_rules, own_rules
from infra.profiles import PROFILES, ProfileName
from infra.timeouts import TrafficTimeouts

PROFILE = PROFILES[ProfileName.SMALL]


@pytest.fixture
def run(deploy):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "ingress", {})
        key = pulumi.Output.secret("plain-key")
        return Ingress(
            "ingress", IngressConfig(namespace, "haproxy@sha256:0", PROFILE, TrafficTimeouts(), "certificate", key)
        )

    return deploy(program)


def test_these_resources_exist_and_no_others(run):
    assert run.counts() == {
        "kubernetes:apps/v1:Deployment": 1,
        "kubernetes:core/v1:ConfigMap": 1,
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:core/v1:Secret": 1,
        "kubernetes:core/v1:Service": 1,
        "kubernetes:core/v1:ServiceAccount": 1,
        "kubernetes:networking.k8s.io/v1:IngressClass": 1,
        "kubernetes:networking.k8s.io/v1:NetworkPolicy": 1,
        "kubernetes:policy/v1:PodDisruptionBudget": 1,
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 1,
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 1,
        "kubernetes:rbac.authorization.k8s.io/v1:Role": 1,
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
    }


def test_it_is_ordinary_pods_behind_one_address(run):
    service = run.one("kubernetes:core/v1:Service").inputs["spec"]
    assert service["type"] == "LoadBalancer"
    assert service["externalTrafficPolicy"] == "Cluster"
    assert [(it["port"], it["targetPort"]) for it in service["ports"]] == [(80, "http"), (443, "https")]
    assert "hostNetwork" not in run.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]["spec"]


def test_the_service_says_what_the_cluster_wants_to_hear_and_nothing_else_has_to(deploy, run):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "ingress", {})
        config = IngressConfig(namespace, "haproxy@sha256:0", PROFILE, TrafficTimeouts(), "certificate", "key")
        return Ingress("ingress", replace(config, annotations={"cloud.test/kind": "network"}))

    told = {it["kind"]: it["metadata"].get("annotations") for it in deploy(program).objects() if "kind" in it}
    assert told["Service"] == {"cloud.test/kind": "network"}
    assert told["Deployment"] is None
    assert "annotations" not in run.one("kubernetes:core/v1:Service").inputs["metadata"]


def test_a_pod_is_added_before_one_is_taken_away(run):
    spec = run.one("kubernetes:apps/v1:Deployment").inputs["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert run.one("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]["maxUnavailable"] == 1


def test_the_command_line_is_the_measured_one(run):
    container = run.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]["spec"]["containers"][0]
    assert {
        "--configmap=ingress/haproxy",
        "--ingress-class=haproxy",
        "--default-ssl-certificate=ingress/haproxy-default-tls",
        "--publish-service=ingress/haproxy",
        "--sort-backends",
        "--watch-gateway=false",
        "--rate-limit-update=5",
        "--wait-before-shutdown=12s",
    } <= set(container["args"])
    assert [it["name"] for it in container["env"]] == ["POD_NAME", "POD_NAMESPACE"]


def test_idle_connections_are_closed_with_notice_and_waits_are_short(run):
    data = run.one("kubernetes:core/v1:ConfigMap").inputs["data"]
    assert data["config-defaults"].split("\n")[0] == "option idle-close-on-response"
    assert data["config-frontend"] == "http-after-response set-header slipway-connection %[src_port]\n"
    assert data["config-frontend-early"].count("\n") == 5  # the identifier of a request, before any other rule
    assert (data["timeout-connect"], data["timeout-server"]) == ("1s", "10s")
    assert int(data["slots-min-free"]) >= 16
    assert data["bind-ip-addr-stats"] == "127.0.0.1"
    assert all(isinstance(it, str) for it in data.values())


def test_the_ports_of_the_configuration_are_those_of_the_pod(run):
    data = run.one("kubernetes:core/v1:ConfigMap").inputs["data"]
    container = run.one("kubernetes:apps/v1:Deployment").inputs["spec"]["template"]["spec"]["containers"][0]
    ports = {it["name"]: str(it["containerPort"]) for it in container["ports"]}
    assert ports["http"] == data["http-port"]
    assert ports["https"] == data["https-port"]
    assert ports["metrics"] == data["prometheus-port"]
    assert ports["health"] == data["healthz-port"]
    assert all(int(it) > 1023 for it in ports.values())


def test_the_default_certificate_is_where_the_command_line_says(run):
    secret = run.one("kubernetes:core/v1:Secret").inputs
    assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == ("ingress", "haproxy-default-tls")
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["stringData"] == {"tls.crt": "certificate", "tls.key": "plain-key"}
    assert "plain-key" not in run.plain_texts()


def test_the_address_is_that_of_the_service(deploy):
    seen = []

    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "ingress", {})
        config = IngressConfig(namespace, "haproxy@sha256:0", PROFILE, TrafficTimeouts(), "certificate", "key")
        Ingress("ingress", config).address.apply(seen.append)

    deploy(program)
    assert seen == ["10.123.0.200"]


@given(
    drain=st.integers(1, 600), finish=st.integers(10, 600), server=st.integers(1, 10), keep_alive=st.integers(1, 600)
)
def test_a_pod_is_never_killed_before_it_has_finished(drain, finish, server, keep_alive):
    timeouts = TrafficTimeouts(ingress_drain=drain, ingress_finish=finish, server=server, keep_alive=keep_alive)
    assert ingress.grace_period(timeouts) > drain + finish
    given = dict(it.removeprefix("--").partition("=")[::2] for it in ingress.arguments(timeouts))
    assert int(given["shutdown-timeout"].removesuffix("s")) >= int(given["haproxy-grace-period"].removesuffix("s"))
    assert ingress.grace_period(timeouts) > drain + int(given["shutdown-timeout"].removesuffix("s"))


@given(threads=st.integers(1, 64))
def test_threads_are_those_of_the_profile(threads):
    assert ingress.configuration_data(TrafficTimeouts(), threads)["nbthread"] == str(threads)


def test_every_profile_gives_the_pods_their_count():
    namespace: pulumi.Resource = None  # type: ignore[assignment]  # a pure function never looks at it
    base = IngressConfig(namespace, "haproxy", PROFILE, TrafficTimeouts(), "certificate", "key")
    for profile in PROFILES.values():
        assert ingress.deployment_spec(replace(base, profile=profile))["replicas"] == profile.ingress_replicas


def test_it_may_change_nothing_but_statuses_events_and_its_own_lease():
    writing = {
        (group, resource, verb)
        for rule in [*cluster_rules(), *own_rules()]
        for group in rule["api_groups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in {"get", "list", "watch"}
    }
    assert {resource for _, resource, _ in writing} == {"ingresses/status", "events", "leases"}
