"""Poolers before Postgres: where they are on, what they are told, and that every connection of all colours has room."""

import pytest
from infra_stand_ins import CLOUD, OWN_REGISTRY
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from infra import naming, releases, versions
from infra.components.database import DatabaseConfig, hosts
from infra.components.platform import Platform, PlatformConfig
from infra.components.poolers import CLIENTS, REPLICAS, RESERVED, SURGE, pool_size
from infra.naming import Environment
from infra.parts import Part, Parts, Store
from infra.profiles import PROFILES, ProfileName
from infra.settings import PlatformSettings, ServiceSettings
from infra.timeouts import PoolerTimeouts

POOLER = "kubernetes:postgresql.cnpg.io/v1:Pooler"
NAMES = ["postgres-pooler-ro", "postgres-pooler-rw"]
COLOURS = 2


@pytest.fixture(scope="module")
def runs():
    return {}


@pytest.fixture
def platform(deploy, release, runs):
    def run(capabilities=OWN_REGISTRY, **values):
        settings = PlatformSettings(**{"metrics": Part.OFF, "logs": Store.OFF, "backups": Store.OFF, **values})
        key = (capabilities, settings)
        if key not in runs:
            config = PlatformConfig("test", capabilities, settings, release)
            runs[key] = deploy(lambda: Platform("platform", config))
        return runs[key]

    return run


@pytest.mark.parametrize("profile", ProfileName)
def test_they_come_along_with_the_biggest_profile_and_where_they_are_asked_for(profile):
    on = profile is ProfileName.HA
    assert PlatformSettings(profile=profile).parts.pooled is on
    assert PlatformSettings(profile=profile, poolers=Part.MANAGED).parts.pooled
    assert not PlatformSettings(profile=profile, poolers=Part.OFF).parts.pooled
    assert not PlatformSettings(profile=profile, postgres=Store.OFF).parts.pooled


def test_without_them_everything_is_as_it_was(platform):
    run = platform()
    assert not run.of(POOLER)
    assert not [it.name for it in run.resources if "postgres-pooler" in it.name]
    assert hosts(DatabaseConfig(Environment.DEV)) == {
        "url": naming.POSTGRES_PRIMARY_HOST,
        "replica-url": naming.POSTGRES_REPLICA_HOST,
        "owner-url": naming.POSTGRES_PRIMARY_HOST,
    }


def test_two_pods_before_the_primary_and_two_before_the_replicas(platform):
    run = platform(poolers=Part.MANAGED)
    made = {it.inputs["metadata"]["name"]: it for it in run.of(POOLER)}
    assert sorted(made) == NAMES
    for name, it in made.items():
        spec, meta = it.inputs["spec"], it.inputs["metadata"]
        assert (spec["cluster"], spec["type"], spec["instances"]) == ({"name": "postgres"}, name[-2:], 2)
        assert spec["pgbouncer"]["poolMode"] == "transaction"
        assert spec["pgbouncer"]["image"].startswith("registry.test:5000/slipway/pgbouncer@sha256:")
        assert meta["annotations"] == {"pulumi.com/waitFor": "jsonpath={.status.phase}=active"}
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        assert container["name"] == "pgbouncer"
        assert set(container["resources"]) == {"requests", "limits"}
        assert container["imagePullPolicy"] == "IfNotPresent"
        (spread,) = pod["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
        assert spread["labelSelector"] == {"matchLabels": {"cnpg.io/poolerName": name}}
        assert {it["tolerationSeconds"] for it in pod["tolerations"]} == {10}
        assert pod["priorityClassName"] == "slipway-data"
        cluster = run.one("kubernetes:postgresql.cnpg.io/v1:Cluster")
        assert cluster.urn in it.depends_on


def test_a_login_that_failed_is_tried_again_within_a_second(platform):
    told = platform(poolers=Part.MANAGED).of(POOLER)[0].inputs["spec"]["pgbouncer"]["parameters"]
    assert told["server_login_retry"] == "0.2"


def closed(schema):
    """The same schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [closed(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


def test_the_operators_own_schema_knows_every_field(platform):
    run = platform(poolers=Part.MANAGED)
    documents = releases.read(versions.CLOUDNATIVE_PG_MANIFEST)
    (kind,) = (it for it in documents if it["metadata"]["name"] == "poolers.postgresql.cnpg.io")
    whole = kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    validator = Draft202012Validator(closed(whole["properties"]["spec"]))
    for it in run.of(POOLER):
        spec = it.inputs["spec"]
        assert [error.message for error in validator.iter_errors(spec)] == []
        assert not validator.is_valid({**spec, "template": {"spec": {**spec["template"]["spec"], "unknown": 1}}})
        assert not validator.is_valid({**spec, "pgbouncer": {**spec["pgbouncer"], "poolMode": "statement"}})


def test_each_has_a_disruption_budget_and_is_closed_but_for_services_and_prometheus(platform):
    run = platform(poolers=Part.MANAGED, metrics=Part.MANAGED)
    for name in NAMES:
        pods = {"matchLabels": {"cnpg.io/poolerName": name}}
        budget = run.one("kubernetes:policy/v1:PodDisruptionBudget", name).inputs["spec"]
        assert budget == {"maxUnavailable": 1, "selector": pods}
        policy = run.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", name).inputs["spec"]
        assert (policy["podSelector"], policy["policyTypes"]) == (pods, ["Ingress"])
        services, prometheus = policy["ingress"]
        for rule, namespaces, port in (
            (services, [it.value for it in Environment], 5432),
            (prometheus, ["monitoring"], 9127),
        ):
            (source,) = rule["from"]
            assert source["namespaceSelector"]["matchExpressions"][0]["values"] == namespaces
            assert [it["port"] for it in rule["ports"]] == [port]


def test_elsewhere_the_image_is_the_operators_own(platform):
    run = platform(CLOUD, poolers=Part.MANAGED)
    assert {it.inputs["spec"]["pgbouncer"]["image"] for it in run.of(POOLER)} == {
        "ghcr.io/cloudnative-pg/pgbouncer:1.25.1"
    }


def test_they_are_told_to_give_up_soon(platform):
    run = platform(poolers=Part.MANAGED, pooler_timeouts=PoolerTimeouts(connect=3, unacknowledged=4, retry=5, queue=6))
    (told, other) = (it.inputs["spec"]["pgbouncer"]["parameters"] for it in run.of(POOLER))
    assert told == other
    wanted = {
        "server_connect_timeout": "3",
        "tcp_user_timeout": "4000",
        "server_login_retry": "5",
        "query_wait_timeout": "6",
        "client_login_timeout": "9",
        "client_tls_sslmode": "require",
    }
    assert told.items() >= wanted.items()


def of_services(profile, pods=None):
    """Connections that one environment opens to one kind of server at most, in both colours."""
    settings = ServiceSettings()
    web = (pods or profile.service_replicas) * settings.workers * settings.threads
    return COLOURS * (web + profile.worker_replicas * settings.threads)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_all_that_poolers_open_has_room_on_one_server(profile):
    """Of both kinds, since a replica that was just promoted has both, and while all of them are rolled."""
    pools = len(Environment) + 1  # the last one is that in which passwords are looked up
    opened = len(naming.POOLERS) * (REPLICAS + SURGE) * pools * pool_size(profile)
    assert opened <= profile.postgres_connections - RESERVED
    assert pool_size(profile) > 5


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_one_pod_bears_the_clients_of_both_colours_of_all_environments(profile):
    assert len(Environment) * of_services(profile) <= CLIENTS


def test_without_poolers_the_biggest_profile_would_not_bear_both_colours_everywhere():
    """Why they are on there (docs/adr/0110); in the others one environment can be rolled out at a time."""
    needs = {name: of_services(profile) for name, profile in PROFILES.items()}
    room = {name: profile.postgres_connections - RESERVED for name, profile in PROFILES.items()}
    assert len(Environment) * needs[ProfileName.HA] > PROFILES[ProfileName.HA].postgres_connections
    for name in PROFILES:
        one_is_rolled_out = needs[name] + (len(Environment) - 1) * needs[name] // COLOURS
        assert one_is_rolled_out <= room[name]
    # And with the pods that autoscaling may add, not even that.
    ha = PROFILES[ProfileName.HA]
    assert of_services(ha, pods=16) > room[ProfileName.HA]


def test_services_go_through_them_and_migrations_around_them():
    assert hosts(DatabaseConfig(Environment.DEV, pooled=True)) == {
        "url": "postgres-pooler-rw.data.svc.cluster.local",
        "replica-url": "postgres-pooler-ro.data.svc.cluster.local",
        "owner-url": "postgres-rw.data.svc.cluster.local",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"postgres": Store.OFF, "poolers": Part.MANAGED}, "poolers must be left out if postgres is off"),
        ({"pooler_timeouts": PoolerTimeouts()}, "poolerTimeouts must be left out if poolers are off"),
    ],
)
def test_what_nothing_would_read_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        PlatformSettings(**values)


def test_services_learn_of_them_by_the_hand_over():
    told = PlatformSettings(profile=ProfileName.HA).parts
    assert Parts.model_validate(told.model_dump(mode="json", by_alias=True, exclude_none=True)) == told
