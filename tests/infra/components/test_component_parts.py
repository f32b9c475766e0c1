"""Every combination of parts, in every profile: nothing that is made refers to anything that is not there."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from infra_stand_ins import OWN_REGISTRY

from infra import naming
from infra.components.platform import Platform, PlatformConfig
from infra.components.service import Service, ServiceConfig
from infra.footprint.rehearsal import rehearse
from infra.parts import ExternalPostgres, ExternalRedis, Part, Store
from infra.policy.rules import evaluate
from infra.profiles import ProfileName
from infra.settings import PlatformSettings, ServiceSettings

IMAGE = "registry.test/payload@sha256:" + "0" * 64
POSTGRES = ExternalPostgres(secret="main-database", network="192.0.2.0/24", replica_url_key="read")
REDIS = ExternalRedis(secret="main-redis", network="192.0.2.0/24")
#: What a cluster has by itself.
GIVEN = {"kube-system", "default"}
NAME = "kubernetes.io/metadata.name"
CHART = "kubernetes:helm.sh/v4:Chart"
#: Services and Secrets that operators make, by the kind that asks for them.
OF_POSTGRES = {"postgres-rw", "postgres-ro", "postgres-r"}

#: Logs and traces: the second are kept where the first are.
KEPT = ((Part.MANAGED, Part.MANAGED), (Part.MANAGED, Part.OFF), (Part.OFF, Part.OFF))
#: Every combination of parts; the profiles take turns.
COMBINATIONS = [
    (*parts, profile)
    for parts, profile in zip(itertools.product(Store, Store, Part, KEPT), itertools.cycle(ProfileName), strict=False)
]


def named(combination):
    """Its name in the list of tests."""
    postgres, redis, metrics, kept, profile = combination
    return "-".join(part.value for part in (postgres, redis, metrics, *kept, profile))


def chosen(postgres, redis, metrics, kept, profile):
    logs, traces = kept
    return PlatformSettings(
        profile=profile,
        metrics=metrics,
        logs=logs,
        traces=traces,
        postgres=postgres,
        postgres_external=POSTGRES if postgres is Store.EXTERNAL else None,
        redis=redis,
        redis_external=REDIS if redis is Store.EXTERNAL else None,
    )


def made(settings, release) -> list[dict[str, Any]]:
    """All objects of platform and service; the chart as an object of its values."""

    def program():
        platform = Platform("platform", PlatformConfig("test", OWN_REGISTRY, settings, release))
        Service("service", ServiceConfig(naming.Environment.DEV, IMAGE, platform.handover, ServiceSettings()))

    return [
        {"kind": "Chart", "metadata": {"name": it.name, "namespace": "dev"}, **it.inputs}
        if it.type == CHART
        else it.inputs
        for it in rehearse(program)
        if it.type == CHART or it.inputs.get("kind")
    ]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def named_namespaces(value: Any) -> Iterator[str]:
    """Every namespace that an object names: its own, those it admits, those it looks into."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"namespace", "monitoringNamespace", "ingressNamespace", "dnsNamespace"} and inner:
                yield from [inner] if isinstance(inner, str) else ()
            if key == "matchNames":
                yield from inner
            if key == NAME and isinstance(inner, str):
                yield inner
            if key == "key" and inner == NAME:
                yield from value.get("values") or ()
            yield from named_namespaces(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_namespaces(inner)


def dangling(objects: list[dict[str, Any]]) -> list[str]:
    """Every reference to something that nobody makes."""
    namespaces = {it["metadata"]["name"] for it in objects if it["kind"] == "Namespace"}
    known = namespaces | GIVEN | {it.value for it in naming.Environment}
    services = {(it["metadata"]["namespace"], it["metadata"]["name"]) for it in objects if it["kind"] == "Service"}
    services.add(("default", "kubernetes"))
    if any(it["kind"] == "Cluster" for it in objects):
        services |= {(naming.Namespace.DATA.value, name) for name in OF_POSTGRES}
    groups = {it["spec"]["group"] for it in objects if it["kind"] == "CustomResourceDefinition"}
    found = []
    for it in objects:
        if it["kind"] == "CustomResourceDefinition":
            continue
        where = f"{it['kind']}/{it['metadata']['name']}"
        found += [f"{where} names the namespace {name}" for name in set(named_namespaces(it)) - known]
        group = it.get("apiVersion", "v1").rpartition("/")[0]
        if "." in group and not group.endswith("k8s.io") and group not in groups:
            found.append(f"{where} is of the group {group}")
        for text in texts(it):
            for service, namespace in re.findall(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc\b", text):
                if (namespace, service) not in services and f"{service}.{namespace}.svc" not in CERTIFIED:
                    found.append(f"{where} names the host {service}.{namespace}")
    return found


#: Names in certificates and configurations that are no hosts of the cluster's own name server.
CERTIFIED = {naming.INGRESS_OBSERVER_HOST}


def service_words(objects: list[dict[str, Any]]) -> str:
    mine = [it for it in objects if it["metadata"].get("namespace") == "dev"]
    return " ".join(texts(mine))


@pytest.mark.parametrize("combination", COMBINATIONS, ids=named)
def test_nothing_refers_to_what_is_not_there(release, combination):
    postgres, redis, metrics, (logs, traces), profile = combination
    settings = chosen(*combination)
    objects = made(settings, release)
    assert dangling(objects) == []
    secrets = {it["metadata"]["name"] for it in objects if it["kind"] == "Secret"} | {"main-database", "main-redis"}
    (chart,) = [it for it in objects if it["kind"] == "Chart"]
    (rollout,) = [it for it in objects if it["kind"] == "Rollout"]
    mounted = [it["secret"] for it in chart["values"]["secrets"]]
    told = [it["name"] for it in rollout["spec"]["config"] if it["kind"] == "Secret"]
    assert mounted == told
    assert set(mounted) <= secrets
    (role,) = [
        it for it in objects if it["kind"] == "ClusterRole" and it["metadata"]["name"] == "slipway-rollout-environment"
    ]
    readable = {
        name for rule in role["rules"] if "secrets" in rule["resources"] for name in rule.get("resourceNames", ())
    }
    assert set(mounted) <= readable
    kinds = {it["kind"] for it in objects}
    assert ({"Cluster", "Database", "DatabaseRole"} & kinds != set()) == (postgres is Store.MANAGED)
    assert ("Prometheus" in kinds) == ("PodMonitor" in kinds) == ("PrometheusRule" in kinds)
    assert ("Prometheus" in kinds) == (metrics is Part.MANAGED)
    words = service_words(objects)
    assert ("SLIPWAY_DATABASE_URL_FILE" in words) == (postgres is not Store.OFF)
    assert ("SLIPWAY_REDIS_URL_FILE" in words) == (redis is not Store.OFF)
    assert ("migrations" in rollout["spec"]) == chart["values"]["migrations"]["enabled"] == (postgres is not Store.OFF)
    everything = " ".join(texts(objects))
    if redis is Store.OFF:
        assert not re.search(r"\bredis\b", everything)
    if postgres is Store.OFF:
        assert "cnpg" not in everything
        assert naming.DATABASE_SECRET not in everything
    backed_up = postgres is Store.MANAGED and profile is not ProfileName.SMALL
    assert ("ScheduledBackup" in kinds) == ("ObjectStore" in kinds) == backed_up
    if not backed_up:
        assert not re.search(r"barman|object-store", everything)
    if logs is Part.OFF:
        assert not re.search(r"elasticsearch|log-collector|log-keeper", everything)
    # Not by any word: the keeper of logs deletes old traces too, where there are some.
    assert (naming.JAEGER in {it["metadata"]["name"] for it in objects}) == (traces is Part.MANAGED)
    if metrics is Part.OFF:
        assert naming.PROMETHEUS_URL not in everything


def test_policies_hold_when_everything_is_away(release):
    objects = made(chosen(Store.OFF, Store.OFF, Part.OFF, (Part.OFF, Part.OFF), ProfileName.SMALL), release)
    assert [str(it) for it in evaluate([it for it in objects if it["kind"] != "Chart"])] == []


@pytest.mark.parametrize(
    ("planted", "complaint"),
    [
        ({"metadata": {"name": "a", "namespace": "data"}}, "names the namespace data"),
        (
            {
                "metadata": {"name": "a"},
                "spec": {"ingress": [{"key": NAME, "operator": "In", "values": ["monitoring"]}]},
            },
            "names the namespace monitoring",
        ),
        ({"metadata": {"name": "a"}, "data": {"url": "http://redis.data.svc:6379"}}, "names the host redis.data"),
        ({"metadata": {"name": "a"}, "apiVersion": "monitoring.coreos.com/v1"}, "is of the group monitoring"),
    ],
)
def test_what_refers_to_nothing_is_found(release, planted, complaint):
    objects = made(chosen(Store.OFF, Store.OFF, Part.OFF, (Part.OFF, Part.OFF), ProfileName.SMALL), release)
    assert dangling(objects) == []
    found = dangling([*objects, {"kind": "Planted", **planted}])
    assert len(found) == 1
    assert complaint in found[0]
