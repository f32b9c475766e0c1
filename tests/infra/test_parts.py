"""Where parts are: what cannot be is refused, and a service is told of exactly what there is."""

import json
import re

import pytest
from pydantic import ValidationError

from infra import naming
from infra.components import connections
from infra.components.connections import Mount
from infra.handover import Outputs, Platform
from infra.naming import Project
from infra.parts import ExternalMetrics, ExternalPostgres, ExternalRedis, Part, Parts, Store
from infra.profiles import ProfileName
from infra.settings import PlatformSettings, SettingsError, parse

POSTGRES = {"secret": "main-database", "network": "192.0.2.0/24"}
METRICS = {"secret": "main-metrics", "namespace": "observability"}
TRACES = {"endpoint": "https://collector.example:4318/v1/traces", "network": "192.0.2.0/24"}
REDIS = {"secret": "main-redis", "network": "198.51.100.7/32", "port": 6380}


def settings(**values):
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return parse(PlatformSettings, Project.PLATFORM, raw)


def test_settings_carry_where_each_part_is():
    parts = settings(postgres="external", postgresExternal=POSTGRES, redis="off", metrics="off").parts
    assert parts == Parts(
        metrics=Store.OFF,
        postgres=Store.EXTERNAL,
        postgres_external=ExternalPostgres(secret="main-database", network="192.0.2.0/24"),
        redis=Store.OFF,
    )
    assert parts.postgres_external is not None
    assert (parts.postgres_external.url_key, parts.postgres_external.port) == ("url", 5432)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"redis": "elsewhere"}, "slipway-platform:redis is 'elsewhere'"),
        ({"redis": "external"}, "redisExternal is required if redis is external: at least secret and network"),
        ({"postgres": "external"}, "postgresExternal is required if postgres is external"),
        ({"redisExternal": REDIS}, "redisExternal must be left out if redis is managed"),
        ({"redis": "off", "redisExternal": REDIS}, "redisExternal must be left out if redis is off"),
        ({"postgresExternal": POSTGRES}, "postgresExternal must be left out if postgres is managed"),
        ({"redis": "external", "redisExternal": {"secret": "a"}}, "slipway-platform:redisExternal.network is missing"),
        (
            {"redis": "external", "redisExternal": {**REDIS, "secret": "Big"}},
            "redisExternal.secret is 'Big': the Secret 'Big' cannot be used as a name",
        ),
        (
            {"redis": "external", "redisExternal": {**REDIS, "secret": "payload-redis"}},
            "redisExternal.secret is 'payload-redis': must be another name than payload-database",
        ),
        (
            {"redis": "external", "redisExternal": {**REDIS, "urlKey": "a/b"}},
            "redisExternal.urlKey is 'a/b': must be a key of a Secret",
        ),
        (
            {"redis": "external", "redisExternal": {**REDIS, "network": "192.0.2.1/24"}},
            "redisExternal.network is '192.0.2.1/24'",
        ),
        ({"redis": "external", "redisExternal": {**REDIS, "password": "a"}}, "redisExternal.password is not a setting"),
        (
            {
                "redis": "external",
                "redisExternal": {**REDIS, "secret": "main-database"},
                "postgres": "external",
                "postgresExternal": POSTGRES,
            },
            "both name the key url of main-database",
        ),
        (
            {"metrics": "external"},
            "metricsExternal is required if metrics is external: at least secret and namespace",
        ),
        ({"metricsExternal": METRICS}, "metricsExternal must be left out if metrics is managed"),
        (
            {"metrics": "external", "metricsExternal": {**METRICS, "namespace": "Observability"}},
            "metricsExternal.namespace is 'Observability'",
        ),
        (
            {"metrics": "external", "metricsExternal": METRICS, "alertReceiver": "on-call"},
            "alertReceiver must be left out if metrics is external",
        ),
        ({"logs": "external"}, "logsExternal is required if logs is external: at least secret"),
        ({"logsExternal": {"secret": "a"}}, "logsExternal must be left out if logs is managed"),
        ({"traces": "external"}, "tracesExternal is required if traces is external: at least endpoint and network"),
        ({"tracesExternal": TRACES}, "tracesExternal must be left out if traces is off"),
        (
            {"traces": "external", "tracesExternal": {**TRACES, "endpoint": "collector.example:4318"}},
            "tracesExternal.endpoint is 'collector.example:4318': must be a whole address by HTTP",
        ),
        (
            {"traces": "external", "tracesExternal": {**TRACES, "endpoint": "https://collector.example"}},
            "must be a whole address by HTTP",
        ),
        (
            {"logs": "external", "logsExternal": {"secret": "a"}, "traces": "managed"},
            "with traces managed, logs must be too",
        ),
        (
            {"postgres": "off", "postgresTimeouts": {"stop": 40}},
            "postgresTimeouts must be left out if postgres is off",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(values, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        settings(**values)


def test_a_service_is_told_of_all_that_is_managed():
    assert [it.to_values() for it in connections.mounts(Parts())] == [
        {
            "secret": "payload-database",
            "items": [
                {"key": "url", "file": "database-url", "env": "SLIPWAY_DATABASE_URL_FILE"},
                {"key": "replica-url", "file": "replica-url", "env": "SLIPWAY_REPLICA_URL_FILE"},
                {"key": "ca.crt", "file": "database-ca.crt", "env": "PGSSLROOTCERT"},
            ],
        },
        {
            "secret": "payload-redis",
            "items": [
                {"key": "url", "file": "redis-url", "env": "SLIPWAY_REDIS_URL_FILE"},
                {"key": "cache-url", "file": "cache-url", "env": "SLIPWAY_CACHE_URL_FILE"},
                {"key": "ca.crt", "file": "redis-ca.crt", "env": "SLIPWAY_REDIS_CA_FILE"},
            ],
        },
    ]
    assert connections.secrets(Parts()) == naming.SERVICE_SECRETS
    assert connections.openings(Parts()) == [{"namespace": "data", "ports": [5432, 6379, 26379]}]


@pytest.mark.parametrize("poolers", Part)
def test_who_serves_is_not_told_how_the_owner_logs_in(poolers):
    parts = Parts(poolers=poolers)
    owners = {"owner-url": (("owner-url", "SLIPWAY_DATABASE_URL_FILE"),)}
    assert connections.migration_mounts(parts) == (Mount("payload-database", owners),)
    assert "owner-url" not in {key for mount in connections.mounts(parts) for key in mount.files}
    assert connections.openings(parts) == connections.openings(Parts())


def test_migrations_may_have_a_login_of_their_own_elsewhere_too():
    parts = Parts(postgres=Store.EXTERNAL, postgres_external=ExternalPostgres(**POSTGRES, owner_url_key="owner"))
    owners = {"owner": (("owner-url", "SLIPWAY_DATABASE_URL_FILE"),)}
    assert connections.migration_mounts(parts) == (Mount("main-database", owners),)
    without = Parts(postgres=Store.EXTERNAL, postgres_external=ExternalPostgres(**POSTGRES))
    assert connections.migration_mounts(without) == connections.migration_mounts(Parts(postgres=Store.OFF)) == ()


def test_a_service_is_told_of_nothing_that_is_off():
    parts = Parts(postgres=Store.OFF, redis=Store.OFF)
    assert connections.mounts(parts) == ()
    assert connections.openings(parts) == []
    assert connections.secrets(parts) == ("payload-access",)
    assert not parts.keeps_data


def test_a_service_is_told_of_what_is_elsewhere():
    parts = Parts(
        postgres=Store.EXTERNAL,
        postgres_external=ExternalPostgres(**POSTGRES, replica_url_key="read", ca_key="authority"),
        redis=Store.EXTERNAL,
        redis_external=ExternalRedis(**REDIS, ca_key="authority"),
    )
    assert connections.mounts(parts) == (
        Mount(
            "main-database",
            {
                "url": (("database-url", "SLIPWAY_DATABASE_URL_FILE"),),
                "read": (("replica-url", "SLIPWAY_REPLICA_URL_FILE"),),
                "authority": (("database-ca.crt", "PGSSLROOTCERT"),),
            },
        ),
        Mount(
            "main-redis",
            {
                "url": (("redis-url", "SLIPWAY_REDIS_URL_FILE"),),
                "authority": (("redis-ca.crt", "SLIPWAY_REDIS_CA_FILE"),),
            },
        ),
    )
    assert connections.openings(parts) == [
        {"network": "192.0.2.0/24", "ports": [5432]},
        {"network": "198.51.100.7/32", "ports": [6380]},
    ]


def test_one_secret_with_both_addresses_is_mounted_once():
    parts = Parts(
        postgres=Store.EXTERNAL,
        postgres_external=ExternalPostgres(**POSTGRES, replica_url_key="url"),
        redis=Store.EXTERNAL,
        redis_external=ExternalRedis(secret="main-database", network="192.0.2.0/24", url_key="redis"),
    )
    (mount,) = connections.mounts(parts)
    assert [(it["key"], it["file"]) for it in mount.to_values()["items"]] == [
        ("url", "database-url"),
        ("url", "replica-url"),
        ("redis", "redis-url"),
    ]


def test_without_an_address_for_reads_there_is_no_such_file():
    parts = Parts(postgres=Store.EXTERNAL, postgres_external=ExternalPostgres(**POSTGRES), redis=Store.OFF)
    (mount,) = connections.mounts(parts)
    assert [it["env"] for it in mount.to_values()["items"]] == ["SLIPWAY_DATABASE_URL_FILE"]


@pytest.mark.parametrize(
    "parts",
    [
        Parts(),
        Parts(redis=Store.OFF, metrics=Store.OFF),
        Parts(redis=Store.EXTERNAL, redis_external=ExternalRedis(**REDIS)),
        Parts(metrics=Store.EXTERNAL, metrics_external=ExternalMetrics(**METRICS, labels={"release": "a"})),
    ],
)
def test_the_handover_tells_services_where_parts_are(deploy, parts):
    platform = Platform(ProfileName.SMALL, "slipway.test", "192.0.2.1", "certificate", None, 1, 10, 1, 10, parts=parts)
    seen = []
    deploy(lambda: platform.to_outputs()["parts"].apply(seen.append))
    # The engine knows one kind of number.
    told = json.loads(json.dumps(seen[0]), parse_int=float)
    assert Parts.model_validate(told) == parts
    assert "redisPassword" not in platform.to_outputs()


def test_without_a_managed_redis_no_password_is_asked_for():
    values = {
        "profile": "small",
        "domain": "slipway.test",
        "ingressAddress": "192.0.2.1",
        "caCertificate": "certificate",
        "timeouts": {"dns": 1.0, "nodeLoss": 10.0, "connect": 1.0, "server": 10.0},
        "parts": {"redis": "off"},
    }
    read = Platform.from_outputs(Outputs("platform", Project.PLATFORM, values, frozenset()))
    assert read.redis_password is None
    assert read.parts == Parts(redis=Store.OFF)


def test_traces_need_the_store_of_logs():
    assert Parts(traces=Store.MANAGED).traces is Store.MANAGED
    with pytest.raises(ValidationError, match="with traces managed, logs must be too"):
        Parts(traces=Store.MANAGED, logs=Store.OFF)


def test_parts_know_no_other_words():
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Parts.model_validate({"mail": "off"})
