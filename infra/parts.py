"""Which parts a platform brings along, which are elsewhere, and which are not there at all.

Whoever reads a part's place reads it here: components decide by it what they make, services by it what they are told.
"""

import datetime as dt
import ipaddress
import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from infra.model import MODEL
from infra.naming import DNS_LABEL_LIMIT, POSTGRES_PORT, REDIS_PORT, SERVICE_SECRETS, Namespace, dns_label

_OBJECT_PATH: Final = re.compile(r"s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/[-._a-zA-Z0-9]+)*")
_ENDPOINT: Final = re.compile(r"https://[-.a-zA-Z0-9]+(:[0-9]{1,5})?")
_RECEIVER: Final = re.compile(r"https?://[-.a-zA-Z0-9]+(:[0-9]{1,5})?(/[^\s@]*)?")
_PORTS: Final = {"http": 80, "https": 443}
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")


class Part(StrEnum):
    """Whether the platform brings along what cannot be elsewhere."""

    MANAGED = "managed"
    OFF = "off"


class Store(StrEnum):
    """Where a part is: brought along by the platform, elsewhere, or nowhere."""

    MANAGED = "managed"
    EXTERNAL = "external"
    OFF = "off"


def _archive(value: str) -> str:
    return dns_label("the archive", value)


def _time(value: str) -> str:
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("must say its zone, such as 2026-11-21T12:00:00Z")
    return moment.isoformat()


def _secret(value: str) -> str:
    dns_label("the Secret", value, limit=DNS_LABEL_LIMIT)
    if value in SERVICE_SECRETS:
        raise ValueError(
            f"must be another name than {', '.join(SERVICE_SECRETS)}: Slipway makes Secrets of these names"
        )
    return value


def _namespace(value: str) -> str:
    return dns_label("the namespace", value, limit=DNS_LABEL_LIMIT)


def _key(value: str) -> str:
    if not _KEY.fullmatch(value):
        raise ValueError("must be a key of a Secret: letters, digits, hyphens, dots and underscores")
    return value


def _config(value: str) -> str:
    return dns_label("the ConfigMap", value, limit=DNS_LABEL_LIMIT)


def _keys(value: str) -> str:
    if not value.startswith("https://") or not _RECEIVER.fullmatch(value) or urlsplit(value).port == 0:
        raise ValueError("must be an address over TLS without a login, such as https://login.example/keys")
    return value


def _range(value: str) -> str:
    return str(ipaddress.ip_network(value))


class ExternalPostgres(BaseModel):
    """Postgres that is there already."""

    model_config = MODEL

    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace of each environment, made by you: pods can read no other namespace's."
    )
    url_key: Annotated[str, AfterValidator(_key)] = Field(
        default="url", description="Its key with the address for writes: `postgresql+psycopg://...`."
    )
    replica_url_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="Its key with the address for reads; left out, reads go where writes go."
    )
    owner_url_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None,
        description="Its key with the address for migrations, as the owner of the tables; left out, they go where "
        "writes go. Migrations give rights to the roles `<owner>_app` and `<owner>_reader` if these exist.",
    )
    ca_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="Its key with the authority that signs for it, in PEM; left out, none is named."
    )
    network: Annotated[str, AfterValidator(_range)] = Field(
        description="Addresses that services may connect to for it, such as 192.0.2.0/24."
    )
    port: int = Field(default=POSTGRES_PORT, ge=1, le=65535, description="Port there.")


class ExternalRedis(BaseModel):
    """Redis that is there already."""

    model_config = MODEL

    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace of each environment, made by you: pods can read no other namespace's."
    )
    url_key: Annotated[str, AfterValidator(_key)] = Field(
        default="url", description="Its key with the address: `redis(s)://...` or `redis(s)+sentinel://...`."
    )
    cache_url_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="Its key with the address of a Redis for the cache; left out, the same one caches."
    )
    ca_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="Its key with the authority that signs for it, in PEM; left out, a public one does."
    )
    network: Annotated[str, AfterValidator(_range)] = Field(
        description="Addresses that services may connect to for it, such as 192.0.2.0/24."
    )
    port: int = Field(default=REDIS_PORT, ge=1, le=65535, description="Port there.")


def _object_path(value: str) -> str:
    if not _OBJECT_PATH.fullmatch(value):
        raise ValueError("must be a bucket and maybe a folder in it, such as s3://backups/main")
    return value


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):
        raise ValueError("must be an address over TLS without a path, such as https://s3.example.test:9000")
    return value


class ExternalObjectStore(BaseModel):
    """A store for backups that is there already."""

    model_config = MODEL

    path: Annotated[str, AfterValidator(_object_path)] = Field(
        description="Bucket, and maybe a folder in it: `s3://BUCKET/FOLDER`."
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None, description="Where it is: `https://HOST:PORT`; left out, Amazon's own by region."
    )
    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace `data`, made by you, with the keys `access-key` and `secret-key`, and "
        "`region` if `region` is true."
    )
    region: bool = Field(default=False, description="Whether the Secret has a key `region`.")
    authority_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="Its key with the authority of the store's certificate, if it is no public one."
    )


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _PORTS[parts.scheme]


def _collector(value: str) -> str:
    if not _RECEIVER.fullmatch(value) or not urlsplit(value).path.strip("/") or urlsplit(value).port == 0:
        raise ValueError("must be a whole address by HTTP, such as https://collector.example:4318/v1/traces")
    return value


def _receiver(value: str) -> str:
    if not _RECEIVER.fullmatch(value):
        raise ValueError("must be an address by HTTP without a user, such as https://receiver.example/exports")
    if urlsplit(value).port == 0:
        raise ValueError("must have a port from 1 to 65535, or none")
    return value


class ExternalMetrics(BaseModel):
    """A Prometheus that is there already, or what answers as one: it scrapes, and rollouts are judged by it."""

    model_config = MODEL

    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace `slipway-system`, made by you, with the key `url`: its address up to "
        "`/api/v1`. The keys `token` (sent as `Bearer`) and `ca.crt` (the authority of its certificate) may be there."
    )
    namespace: Annotated[str, AfterValidator(_namespace)] = Field(
        description="Namespace of this cluster from which it scrapes, itself or by an agent: ports are opened to it."
    )
    objects: bool = Field(
        default=True,
        description="Whether PodMonitors and PrometheusRules are made, in `slipway-system`; the cluster must know "
        "these kinds. If not, `slipway dashboards build` writes the rules to a file, and "
        "docs/reference/metrics.md says what to scrape.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict[str, str], description="Labels by which your operator finds those objects."
    )


class ExternalLogs(BaseModel):
    """An Elasticsearch that is there already, to which what pods print is sent."""

    model_config = MODEL

    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace `node-logs`, made by you, with the keys `url`, `user` and `password`."
    )
    authority_key: Annotated[str, AfterValidator(_key)] | None = Field(
        default=None, description="Its key with the authority of Elasticsearch's certificate, if it is no public one."
    )


class ExternalTraces(BaseModel):
    """A collector of spans that is there already."""

    model_config = MODEL

    endpoint: Annotated[str, AfterValidator(_collector)] = Field(
        description="Where services send spans: OTLP by HTTP, the whole address, such as "
        "`https://collector.example:4318/v1/traces`."
    )
    network: Annotated[str, AfterValidator(_range)] = Field(
        description="Addresses that services may connect to for it, such as 192.0.2.0/24."
    )

    @property
    def port(self) -> int:
        """Port there."""
        return _port(self.endpoint)


class Webhook(BaseModel):
    """Who is told of what a service has finished."""

    model_config = MODEL

    url: Annotated[str, AfterValidator(_receiver)] = Field(
        description="Address that is told, such as `https://receiver.example/exports`."
    )
    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace of the environment, made by you: pods can read no other namespace's."
    )
    key: Annotated[str, AfterValidator(_key)] = Field(
        default="key", description="Its key with at least 32 random characters, by which what is sent is signed."
    )
    network: Annotated[str, AfterValidator(_range)] = Field(
        description="Addresses that the service may connect to for it, such as 192.0.2.0/24."
    )

    @property
    def port(self) -> int:
        """Port there."""
        return _port(self.url)


class Issuer(BaseModel):
    """Whose tokens a service believes besides its own; its words are those of `SLIPWAY_EXTERNAL_ISSUER`."""

    model_config = MODEL

    issuer: str = Field(min_length=1, description="What `iss` must say, to the letter.")
    jwks_url: Annotated[str, AfterValidator(_keys)] = Field(description="Where its public keys are, over TLS.")
    audience: str = Field(min_length=1, description="What `aud` must name: this API, not a client of it.")
    algorithms: tuple[Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"], ...] = Field(
        default=("RS256",), min_length=1, description="That tokens may be signed with."
    )
    claim: tuple[str, ...] = Field(
        default=("roles",), min_length=1, description="Where the words about a user are, from the outside in."
    )
    grants: dict[str, str] = Field(
        min_length=1,
        description="Word there -> role (`viewer`, `editor`, `admin`) or permission, such as `users:read`.",
    )
    token_type: str | None = Field(default=None, description="What `typ` must say, such as `at+jwt`; not looked at.")
    authority: Annotated[str, AfterValidator(_config)] | None = Field(
        default=None,
        description="ConfigMap in the namespace of the environment, made by you, whose key `ca.crt` is the authority "
        "of its address; the system's if left out.",
    )
    network: Annotated[str, AfterValidator(_range)] = Field(
        description="Addresses that the service may connect to for its keys, such as 192.0.2.0/24."
    )

    @property
    def port(self) -> int:
        """Port of its keys."""
        return urlsplit(self.jwks_url).port or _PORTS["https"]


class ErrorReports(BaseModel):
    """Where unexpected errors go, besides the log."""

    model_config = MODEL

    secret: Annotated[str, AfterValidator(_secret)] = Field(
        description="Secret in the namespace of the environment, made by you: pods can read no other namespace's."
    )
    key: Annotated[str, AfterValidator(_key)] = Field(
        default="dsn", description="Its key with Sentry's DSN. Pods read it when they start."
    )
    network: Annotated[str, AfterValidator(_range)] = Field(
        description="Addresses that the service may connect to for it, such as 192.0.2.0/24."
    )
    port: int = Field(default=443, ge=1, le=65535, description="Port there.")


class Restore(BaseModel):
    """What a Postgres that is made anew begins with."""

    model_config = MODEL

    name: Annotated[str, AfterValidator(_archive)] = Field(
        description="Name under which the lost one was archived: its `backupName`."
    )
    time: Annotated[str, AfterValidator(_time)] | None = Field(
        default=None, description="Moment to go back to, with its zone (RFC 3339); left out, the newest one."
    )


class Parts(BaseModel):
    """Every part that can be elsewhere or away."""

    model_config = MODEL

    metrics: Store = Field(
        default=Store.MANAGED,
        description="Prometheus with its operator and exporters, and metrics-server; `external` installs none of them "
        "and lets the one that `metricsExternal` names scrape and judge; with `off` nothing is scraped.",
    )
    metrics_external: ExternalMetrics | None = Field(
        default=None, description="Only if `metrics` is `external`, and required there."
    )
    logs: Store = Field(
        default=Store.MANAGED,
        description="Elasticsearch, and a collector on each node that sends it what pods print; with `external` the "
        "collectors send to the one that `logsExternal` names; `off` leaves all to `kubectl logs`.",
    )
    logs_external: ExternalLogs | None = Field(
        default=None, description="Only if `logs` is `external`, and required there."
    )
    traces: Store = Field(
        default=Store.OFF,
        description="Jaeger, which keeps spans in the Elasticsearch of `logs` and so needs it managed; services send "
        "it a sample of their requests. With `external` they send to where `tracesExternal` says.",
    )
    traces_external: ExternalTraces | None = Field(
        default=None, description="Only if `traces` is `external`, and required there."
    )
    postgres: Store = Field(
        default=Store.MANAGED,
        description="`external` is reached as `postgresExternal` says; with `off` services are told of no database, "
        "and nothing migrates one.",
    )
    postgres_external: ExternalPostgres | None = Field(
        default=None, description="Only if `postgres` is `external`, and required there."
    )
    poolers: Part | None = Field(
        default=None,
        description="PgBouncer before the primary and before the replicas of a managed Postgres: services share its "
        "connections, transaction by transaction. Left out, `managed` with the profile ha and `off` otherwise, where "
        "there are enough connections without.",
    )
    redis: Store = Field(
        default=Store.MANAGED,
        description="`external` is reached as `redisExternal` says; with `off` services are told of no Redis.",
    )
    redis_external: ExternalRedis | None = Field(
        default=None, description="Only if `redis` is `external`, and required there."
    )

    @model_validator(mode="after")
    def _connections(self) -> Self:
        if self.traces is Store.MANAGED and self.logs is not Store.MANAGED:
            raise ValueError("traces are kept in the Elasticsearch of logs: with traces managed, logs must be too")
        stores = (
            ("postgres", self.postgres, self.postgres_external, "secret and network"),
            ("redis", self.redis, self.redis_external, "secret and network"),
            ("metrics", self.metrics, self.metrics_external, "secret and namespace"),
            ("logs", self.logs, self.logs_external, "secret"),
            ("traces", self.traces, self.traces_external, "endpoint and network"),
        )
        for name, where, connection, least in stores:
            if where is Store.EXTERNAL and connection is None:
                raise ValueError(f"{name}External is required if {name} is external: at least {least}")
            if where is not Store.EXTERNAL and connection is not None:
                raise ValueError(f"{name}External must be left out if {name} is {where.value}: nothing would read it")
        if self.poolers is not None and self.postgres is not Store.MANAGED:
            raise ValueError(
                f"poolers must be left out if postgres is {self.postgres.value}: they stand before a managed one"
            )
        postgres, redis = self.postgres_external, self.redis_external
        if postgres and redis and postgres.secret == redis.secret:
            keys = {postgres.url_key, postgres.replica_url_key}
            shared = keys & {redis.url_key, redis.cache_url_key} - {None}
            if shared:
                raise ValueError(
                    f"postgresExternal and redisExternal both name the key {min(map(str, shared))} of {redis.secret}; "
                    "one of them needs another key, since it cannot be the address of both"
                )
        return self

    @property
    def scraped_from(self) -> str | None:
        """The namespace of whoever scrapes; None if nobody does."""
        if self.metrics_external is not None:
            return self.metrics_external.namespace
        return Namespace.MONITORING.value if self.metrics is Store.MANAGED else None

    @property
    def pooled(self) -> bool:
        """Whether services reach Postgres through poolers."""
        return self.poolers is Part.MANAGED

    @property
    def keeps_data(self) -> bool:
        """Whether anything is in the namespace for data."""
        return Store.MANAGED in {self.postgres, self.redis}
