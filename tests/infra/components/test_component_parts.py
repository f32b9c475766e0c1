"""Every combination of parts, in every profile: nothing that is made refers to anything that is not there."""

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from infra_stand_ins import OWN_REGISTRY

from infra import naming
from infra.components.platform import Platform, PlatformConfig
from infra.components.service import Service, ServiceConfig
from infra.footprint.rehearsal import rehearse
from infra.parts import (
    ExternalLogs,
    ExternalMetrics,
    ExternalObjectStore,
    ExternalPostgres,
    ExternalRedis,
    ExternalTraces,
    Store,
)
from infra.policy.rules import evaluate
from infra.profiles import ProfileName
from infra.settings import PlatformSettings, ServiceSettings

IMAGE = "registry.test/payload@sha256:" + "0" * 64
POSTGRES = ExternalPostgres(secret="main-database", network="192.0.2.0/24", replica_url_key="read")
BACKUPS = ExternalObjectStore(path="s3://backups/main", secret="main-store")
LOGS = ExternalLogs(secret="main-logs")
TRACES = ExternalTraces(endpoint="https://collector.example:4318/v1/traces", network="192.0.2.0/24")
METRICS = ExternalMetrics(secret="main-metrics", namespace="watchtower", labels={"release": "kube-prometheus"})
REDIS = ExternalRedis(secret="main-redis", network="192.0.2.0/24")
#: What a cluster has by itself.
GIVEN = {"kube-system", "default"}
NAME = "kubernetes.io/metadata.name"
CHART = "kubernetes:helm.sh/v4:Chart"
#: Services and Secrets that operators make, by the kind that asks for them.
OF_POSTGRES = {"postgres-rw", "postgres-ro", "postgres-r"}

#: Logs and traces: managed ones are kept in the Elasticsearch of managed logs. Spans that go elsewhere, or nowhere,
#: make no difference to the platform: where logs are not kept, the two take turns.
KEPT = (
    (MANAGED := (Store.MANAGED, Store.MANAGED), (Store.MANAGED, Store.EXTERNAL), (Store.MANAGED, Store.OFF),
     (Store.EXTERNAL, Store.OFF), (Store.OFF, Store.EXTERNAL)),
    (MANAGED, (Store.MANAGED, Store.EXTERNAL), (Store.MANAGED, Store.OFF),
     (Store.EXTERNAL, Store.EXTERNAL), NOTHING := (Store.OFF, Store.OFF)),
)  # fmt: skip


def combinations() -> Iterator[tuple[Any, ...]]:
    """Every combination of parts that differs in what is made; where backups go and the profiles take turns."""
    for number, (postgres, redis, metrics, place) in enumerate(itertools.product(Store, Store, Store, range(5))):
        backups = list(Store)[number // 3 % 3] if postgres is Store.MANAGED else Store.OFF
        kept = KEPT[(number // 5 + number // 10) % 2][place]
        yield (postgres, backups), redis, metrics, kept, list(ProfileName)[number % 3]


COMBINATIONS = list(combinations())


def test_the_turns_meet_every_place_of_every_part():
    stored = {it[0] for it in COMBINATIONS}
    assert stored == {(Store.EXTERNAL, Store.OFF), (Store.OFF, Store.OFF), *((Store.MANAGED, it) for it in Store)}
    assert {it[3] for it in COMBINATIONS} == {
        it for it in itertools.product(Store, Store) if it[1] is not Store.MANAGED or it[0] is Store.MANAGED
    }
    assert {(it[0][1], it[4]) for it in COMBINATIONS} == set(itertools.product(Store, ProfileName))
    assert len(COMBINATIONS) == len(set(COMBINATIONS)) == 135


def named(combination):
    """Its name in the list of tests."""
    stored, redis, metrics, kept, profile = combination
    return "-".join(part.value for part in (*stored, redis, metrics, *kept, profile))


def chosen(stored, redis, metrics, kept, profile):
    (postgres, backups), (logs, traces) = stored, kept
    return PlatformSettings(
        profile=profile,
        backups=backups,
        backups_external=BACKUPS if backups is Store.EXTERNAL else None,
        metrics=metrics,
        metrics_external=METRICS if metrics is Store.EXTERNAL else None,
        logs=logs,
        traces=traces,
        logs_external=LOGS if logs is Store.EXTERNAL else None,
        traces_external=TRACES if traces is Store.EXTERNAL else None,
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


class Given(NamedTuple):
    """What is there by others: namespaces, and groups of kinds."""

    namespaces: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


NOBODY = Given()
#: The namespace of a Prometheus of others, and the kinds of its operator.
MEASURED = Given(frozenset({METRICS.namespace}), frozenset({"monitoring.coreos.com"}))


def dangling(objects: list[dict[str, Any]], given: Given = NOBODY) -> list[str]:
    """Every reference to something that nobody makes."""
    namespaces = {it["metadata"]["name"] for it in objects if it["kind"] == "Namespace"}
    known = namespaces | GIVEN | given.namespaces | {it.value for it in naming.Environment}
    services = {(it["metadata"]["namespace"], it["metadata"]["name"]) for it in objects if it["kind"] == "Service"}
    services.add(("default", "kubernetes"))
    if any(it["kind"] == "Cluster" for it in objects):
        services |= {(naming.Namespace.DATA.value, name) for name in OF_POSTGRES}
    # The operator makes a Service of the same name for each.
    services |= {(it["metadata"]["namespace"], it["metadata"]["name"]) for it in objects if it["kind"] == "Pooler"}
    groups = {it["spec"]["group"] for it in objects if it["kind"] == "CustomResourceDefinition"} | given.groups
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
    (postgres, backups), redis, metrics, (logs, traces), profile = combination
    settings = chosen(*combination)
    objects = made(settings, release)
    assert dangling(objects, MEASURED if metrics is Store.EXTERNAL else NOBODY) == []
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
    assert ("PodMonitor" in kinds) == ("PrometheusRule" in kinds) == (metrics is not Store.OFF)
    assert ("Prometheus" in kinds) == ("Alertmanager" in kinds) == (metrics is Store.MANAGED)
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
    pooled = postgres is Store.MANAGED and profile is ProfileName.HA
    told = "SLIPWAY_POOLED" in chart["values"]["env"]
    assert ("Pooler" in kinds) == told == ("postgres-pooler" in everything) == pooled
    assert ("ScheduledBackup" in kinds) == ("ObjectStore" in kinds) == (backups is not Store.OFF)
    stores = [it for it in objects if it["kind"] == "StatefulSet" and it["metadata"]["name"] == "object-store"]
    assert bool(stores) == (backups is Store.MANAGED)
    if backups is Store.OFF:
        assert not re.search(r"barman|object-store", everything)
    if logs is Store.OFF:
        assert not re.search(r"elasticsearch|log-collector|log-keeper", everything)
    names = {it["metadata"]["name"] for it in objects}
    assert (naming.LOG_COLLECTOR in names) == (logs is not Store.OFF)
    assert (naming.ELASTICSEARCH in names) == ("log-keeper" in names) == (logs is Store.MANAGED)
    assert ("main-logs" in everything) == (logs is Store.EXTERNAL)
    # Not by any word: the keeper of logs deletes old traces too, where there are some.
    assert (naming.JAEGER in names) == (traces is Store.MANAGED)
    assert ("SLIPWAY_TRACES_ENDPOINT" in chart["values"]["env"]) == (traces is not Store.OFF)
    assert (TRACES.endpoint in everything) == (traces is Store.EXTERNAL)
    assert (naming.PROMETHEUS_URL in everything) == (metrics is Store.MANAGED)
    assert ("main-metrics" in everything) == ("watchtower" in everything) == (metrics is Store.EXTERNAL)


def test_policies_hold_when_everything_is_away(release):
    objects = made(chosen((Store.OFF, Store.OFF), Store.OFF, Store.OFF, NOTHING, ProfileName.SMALL), release)
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
    objects = made(chosen((Store.OFF, Store.OFF), Store.OFF, Store.OFF, NOTHING, ProfileName.SMALL), release)
    assert dangling(objects) == []
    found = dangling([*objects, {"kind": "Planted", **planted}])
    assert len(found) == 1
    assert complaint in found[0]
