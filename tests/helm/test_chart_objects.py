"""Which objects there are, how they are called and labelled, and that they fit together."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.policy.model import selects, workloads
from infra.policy.rules import evaluate
from slipway.rollout.resource import API_VERSION, KIND, SPEC

CHART = Path(__file__).resolve().parents[2] / "helm" / "service"
ALWAYS = {
    "Service payload",
    "Service payload-blue",
    "Service payload-green",
    "Service payload-preview",
    "PodDisruptionBudget payload-blue",
    "PodDisruptionBudget payload-green",
    "ServiceAccount payload",
    "Ingress payload",
    "Ingress payload-preview",
    "NetworkPolicy payload",
    "PodTemplate payload",
    "Rollout payload",
}
IMAGE = "a@sha256:" + "1" * 64
MINIMAL = {
    "rollout": {"image": IMAGE},
    "ingress": {"host": "a.slipway.test"},
    "preview": {"host": "b.slipway.test"},
}
FLAVOURS = {
    "every switch": ({}, None),
    "the least": ({}, MINIMAL),
    "blue-green": ({"rollout": {"strategy": "blueGreen", "metrics": []}}, None),
    "a Rollout from elsewhere": ({"rollout": {"enabled": False, "image": ""}}, None),
    "without retries and preStop": (
        {"ingress": {"retries": {"enabled": False}}, "lifecycle": {"preStopSeconds": 0}},
        None,
    ),
    "without metrics and workers": ({"ports": {"metrics": 0}, "workers": {"enabled": False}}, None),
    "without ingress": ({"ingress": {"enabled": False}, "preview": {"check": {"image": ""}}}, None),
}


@pytest.fixture(params=FLAVOURS.values(), ids=FLAVOURS)
def flavour(request, chart):
    values, base = request.param
    return chart(values, base=base)


def test_every_switch_makes_these_objects(chart):
    workers = {"PodTemplate payload-worker", "Role payload-consumers", "RoleBinding payload-consumers"}
    assert chart().names() == ALWAYS | {"ConfigMap payload-env", "ConfigMap payload-preview"} | workers


def test_least_values_make_these_objects(chart):
    assert chart(base=MINIMAL).names() == ALWAYS


def test_switches_take_their_objects_away(chart):
    unchecked = {"check": {"image": ""}}
    assert not chart({"ingress": {"enabled": False}, "preview": unchecked}).all("Ingress")
    assert "Service payload-preview" not in chart({"preview": {"enabled": False, **unchecked}}).names()
    assert "Ingress payload-preview" not in chart({"preview": {"enabled": False, **unchecked}}).names()
    assert not chart({"networkPolicy": {"enabled": False}}).all("NetworkPolicy")
    assert not chart({"rollout": {"enabled": False}}).all("Rollout")


def test_every_template_is_rendered_by_some_flavour(chart):
    rendered = {name for values, base in FLAVOURS.values() for name in chart(values, base=base).templates}
    assert rendered == {path.name for path in (CHART / "templates").glob("*.yaml")}


def test_every_object_is_labelled_and_placed(flavour):
    for one in flavour.objects:
        metadata = one["metadata"]
        assert metadata["namespace"] == "dev"
        assert metadata["labels"]["app.kubernetes.io/name"] == "payload"
        assert metadata["labels"]["app.kubernetes.io/instance"] == "payload"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "slipway"


def test_no_two_objects_are_the_same(flavour):
    assert len(flavour.names()) == len(flavour.objects)


def test_policy_rules_hold(flavour):
    assert [str(violation) for violation in evaluate(flavour.objects, ())] == []


def test_selectors_are_these_and_never_others(flavour):
    both = {
        "app.kubernetes.io/name": "payload",
        "app.kubernetes.io/instance": "payload",
        "slipway.dev/role": "web",
    }
    for service in flavour.all("Service"):
        colour = service["metadata"]["labels"].get("slipway.dev/colour")
        assert service["spec"]["selector"] == ({**both, "slipway.dev/colour": colour} if colour else both)
    for one in flavour.all("PodDisruptionBudget"):
        colour = one["metadata"]["labels"]["slipway.dev/colour"]
        assert one["spec"]["selector"]["matchLabels"] == {**both, "slipway.dev/colour": colour}


def test_each_service_reaches_the_pods_it_is_for(chart):
    rendered = chart()
    labels = rendered.one("PodTemplate", "payload")["template"]["metadata"]["labels"]
    for service in rendered.all("Service"):
        colour = service["metadata"]["labels"].get("slipway.dev/colour")
        selector = {"matchLabels": service["spec"]["selector"]}
        # The controller adds the colour to the pods.
        for one in ("blue", "green"):
            assert selects(selector, {**labels, "slipway.dev/colour": one}) == (colour in (None, one))


def test_ports_fit_together(flavour):
    for service in flavour.all("Service"):
        for port in service["spec"]["ports"]:
            for workload in workloads(flavour.objects):
                if workload.labels["slipway.dev/role"] != "web":
                    continue  # no Service selects it
                assert port["targetPort"] in {one["name"] for one in workload.containers[0]["ports"]}
    for ingress in flavour.all("Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        ports = flavour.one("Service", backend["name"])["spec"]["ports"]
        assert backend["port"]["name"] in {port["name"] for port in ports}


def test_metrics_are_never_behind_the_ingress(chart):
    for name in ("payload", "payload-preview"):
        assert [port["name"] for port in chart().one("Service", name)["spec"]["ports"]] == ["http"]


def test_each_colour_has_a_budget_that_lets_pods_go(flavour):
    for budget in flavour.all("PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_network_is_closed_but_for_what_is_named(chart):
    [policy] = chart().all("NetworkPolicy")
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]

    def openings(rules, direction):
        return {
            (rule[direction][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
            for rule in rules
            for port in rule["ports"]
        }

    assert openings(spec["ingress"], "from") == {("ingress", 8080), ("monitoring", 9090)}
    assert openings(spec["egress"], "to") == {("kube-system", 53), ("data", 5432), ("data", 6379)}
    for workload in workloads(chart().objects):
        assert selects(spec["podSelector"], workload.labels)


def test_what_is_outside_the_cluster_is_opened_by_its_addresses(chart):
    outside = {"networkPolicy": {"egress": [{"network": "192.0.2.0/24", "ports": [5432]}]}}
    [policy] = chart(outside).all("NetworkPolicy")
    assert policy["spec"]["egress"][-1] == {
        "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "ports": [{"port": 5432, "protocol": "TCP"}],
    }


def test_nothing_named_opens_nothing(chart):
    nobody = {"ingressNamespace": "", "monitoringNamespace": "", "dnsNamespace": "", "egress": []}
    [policy] = chart({"networkPolicy": nobody}).all("NetworkPolicy")
    # An absent or empty list of rules means none; an empty rule would mean everything.
    assert not policy["spec"]["ingress"]
    assert not policy["spec"]["egress"]


def test_hosts_and_certificates(chart):
    for name, host, secret in (
        ("payload", "payload.dev.slipway.test", "payload-tls"),
        ("payload-preview", "preview.payload.dev.slipway.test", "payload-preview-tls"),
    ):
        spec = chart().one("Ingress", name)["spec"]
        assert spec["ingressClassName"] == "haproxy"
        assert spec["tls"] == [{"hosts": [host], "secretName": secret}]
        assert spec["rules"][0]["host"] == host
        assert spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == name


def test_without_a_secret_the_default_certificate_is_used(chart):
    [live, preview] = chart(base=MINIMAL).all("Ingress")
    for ingress in (live, preview):
        assert "secretName" not in ingress["spec"]["tls"][0]


def test_config_has_one_name_and_the_rollout_keeps_a_copy_for_each_revision(chart):
    changed = chart({"env": {"SLIPWAY_LOG_LEVEL": "debug"}})
    config = changed.one("ConfigMap", "payload-env")
    assert config["data"]["SLIPWAY_LOG_LEVEL"] == "debug"
    assert config["data"]["SLIPWAY_WORKERS"] == "2"
    assert "immutable" not in config
    [container] = changed.one("PodTemplate", "payload")["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    assert changed.one("Rollout", "payload")["spec"]["config"] == [
        {"kind": "ConfigMap", "name": "payload-env"},
        {"kind": "Secret", "name": "payload-database"},
        {"kind": "Secret", "name": "payload-redis"},
        {"kind": "Secret", "name": "payload-database-owner"},
    ]


def test_what_the_service_does_not_read_is_not_kept(chart):
    assert "config" not in chart(base=MINIMAL).one("Rollout", "payload")["spec"]


def test_the_rollout_is_one_that_the_controller_understands(flavour):
    for rollout in flavour.all("Rollout"):
        spec = SPEC.validate_python(rollout["spec"])
        assert (spec.service, spec.template, spec.container) == ("payload", "payload", "service")
        assert spec.image.endswith("@sha256:" + "1" * 64)
        assert (rollout["apiVersion"], rollout["kind"]) == (API_VERSION, KIND)


def test_strategies_say_what_was_chosen(chart):
    canary = chart().one("Rollout", "payload")["spec"]
    assert canary["strategy"] == {
        "canary": {"approval": True, "steps": [{"weight": 10, "pause": "30s"}, {"weight": 50, "approval": True}]}
    }
    assert canary["analysis"]["soak"] == "1m"
    assert [it["name"] for it in canary["analysis"]["metrics"]] == ["errors", "slow"]
    assert canary["migrations"] == {
        "command": ["python", "-m", "app.migrate"],
        "container": "wait-for-migrations",
        "contract": True,
        "timeout": "600s",
    }
    blue_green = chart({"rollout": {"strategy": "blueGreen", "pause": "2m", "metrics": []}}).one("Rollout", "payload")
    assert blue_green["spec"]["strategy"] == {"blueGreen": {"approval": True, "pause": "2m"}}
    assert "analysis" not in blue_green["spec"]


def test_the_pods_do_not_change_with_the_wanted_image(chart):
    other = chart({"rollout": {"image": "b@sha256:" + "2" * 64}})
    assert other.one("PodTemplate", "payload") == chart().one("PodTemplate", "payload")


def test_words_that_yaml_takes_for_something_else_stay_words(chart):
    rendered = chart(
        {
            "env": {"NO": "yes", "NUMBER": "0010"},
            "imagePullSecrets": ["123"],
            "partOf": "on",
        },
        release="1e3",
    )
    assert {one["metadata"]["labels"]["app.kubernetes.io/instance"] for one in rendered.objects} == {"1e3"}
    assert {one["metadata"]["labels"]["app.kubernetes.io/part-of"] for one in rendered.objects} == {"on"}
    config = rendered.one("ConfigMap", "1e3-env")
    assert config["data"]["NO"] == "yes"
    assert config["data"]["NUMBER"] == "0010"
    pod = rendered.one("PodTemplate", "1e3")["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "123"}]


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,38}[a-z0-9]", fullmatch=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(release=NAMES, replicas=st.integers(1, 100))
def test_any_release_keeps_the_rules(chart, release, replicas):
    rendered = chart({"rollout": {"replicas": replicas, "autoscaling": {"maxReplicas": 100}}}, release=release)
    assert evaluate(rendered.objects, ()) == []
    # The controller's Deployment is named `<release>-green`, ReplicaSet hash (10) and pod suffix (5) come after dashes.
    assert len(f"{release}-green") + 17 <= 63
    assert rendered.one("Rollout", release)["spec"]["replicas"] == replicas
    assert yaml.safe_dump(rendered.objects)
