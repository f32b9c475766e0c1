"""What a service is told of its data, its webhook and its error reports, and where it may connect to for them: pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from infra import naming
from infra.naming import (
    ACCESS_SECRET,
    DATABASE_SECRET,
    OTLP_PORT,
    POSTGRES_PORT,
    REDIS_PORT,
    REDIS_SECRET,
    SENTINEL_PORT,
    Namespace,
)
from infra.parts import ErrorReports, Issuer, Parts, Store, Webhook


@final
@dataclass(frozen=True)
class Mount:
    """A Secret of the environment's namespace that pods get as files.

    Attributes:
        secret: Its name.
        files: Key -> file, and variable that names the file.
    """

    secret: str
    files: Mapping[str, tuple[tuple[str, str], ...]]

    def to_values(self) -> dict[str, Any]:
        """As the chart takes it."""
        items = [
            {"key": key, "file": file, "env": variable}
            for key, places in self.files.items()
            for file, variable in places
        ]
        return {"secret": self.secret, "items": items}


#: Key of a Secret of ours with the authority of the platform.
CA_KEY: Final = "ca.crt"
_PRIMARY = ("database-url", "SLIPWAY_DATABASE_URL_FILE")
_REPLICA = ("replica-url", "SLIPWAY_REPLICA_URL_FILE")
#: libpq's own variable: whom it trusts.
_DATABASE_CA = ("database-ca.crt", "PGSSLROOTCERT")
#: Takes the place of the first where migrations run, and is nowhere else.
_OWNER = ("owner-url", "SLIPWAY_DATABASE_URL_FILE")
_REDIS = ("redis-url", "SLIPWAY_REDIS_URL_FILE")
_CACHE = ("cache-url", "SLIPWAY_CACHE_URL_FILE")
_REDIS_CA = ("redis-ca.crt", "SLIPWAY_REDIS_CA_FILE")
_WEBHOOK_KEY = ("webhook-key", "SLIPWAY_WEBHOOK_KEY_FILE")
_DSN = ("sentry-dsn", "SLIPWAY_SENTRY_DSN_FILE")
#: A Secret, the key in it if there is any, and the file and the variable by which the service finds it.
_Told = tuple[str, str | None, tuple[str, str]]


def mounts(parts: Parts) -> tuple[Mount, ...]:
    """The Secrets that tell a service of its data; one Secret that holds both connections is mounted once."""
    return _together((*_of_postgres(parts), *_of_redis(parts)))


def migration_mounts(parts: Parts) -> tuple[Mount, ...]:
    """The Secrets that only migrations get: the owner's connection, if there is one apart."""
    external = parts.postgres_external
    managed = [(DATABASE_SECRET, "owner-url", _OWNER)] if parts.postgres is Store.MANAGED else []
    return _together((*managed, *([] if external is None else [(external.secret, external.owner_url_key, _OWNER)])))


def _together(told: Iterable[_Told]) -> tuple[Mount, ...]:
    found: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {}
    for secret, key, place in told:
        if key is not None:
            files = found.setdefault(secret, {})
            files[key] = (*files.get(key, ()), place)
    return tuple(Mount(secret, files) for secret, files in found.items())


def _of_postgres(parts: Parts) -> Iterator[_Told]:
    if parts.postgres is Store.MANAGED:
        yield DATABASE_SECRET, "url", _PRIMARY
        yield DATABASE_SECRET, "replica-url", _REPLICA
        yield DATABASE_SECRET, CA_KEY, _DATABASE_CA
    if (external := parts.postgres_external) is not None:
        yield external.secret, external.url_key, _PRIMARY
        yield external.secret, external.replica_url_key, _REPLICA
        yield external.secret, external.ca_key, _DATABASE_CA


def _of_redis(parts: Parts) -> Iterator[_Told]:
    if parts.redis is Store.MANAGED:
        yield REDIS_SECRET, "url", _REDIS
        yield REDIS_SECRET, "cache-url", _CACHE
        yield REDIS_SECRET, CA_KEY, _REDIS_CA
    if (external := parts.redis_external) is not None:
        yield external.secret, external.url_key, _REDIS
        yield external.secret, external.cache_url_key, _CACHE
        yield external.secret, external.ca_key, _REDIS_CA


def secrets(parts: Parts) -> tuple[str, ...]:
    """All Secrets that a service reads, its access key's included; each change of one of them is rolled out."""
    return (*(mount.secret for mount in mounts(parts)), ACCESS_SECRET)


def webhook_mount(webhook: Webhook) -> Mount:
    """The Secret by which a webhook is signed. It is read for each call: a new key needs no new version."""
    return Mount(webhook.secret, {webhook.key: (_WEBHOOK_KEY,)})


def errors_mount(errors: ErrorReports) -> Mount:
    """The Secret that says where errors go, and opens the way there."""
    return Mount(errors.secret, {errors.key: (_DSN,)})


def openings(parts: Parts, *others: Webhook | Issuer | ErrorReports | None) -> list[dict[str, Any]]:
    """Where a service may connect to, as the chart takes it."""
    places = ((parts.postgres, (POSTGRES_PORT,)), (parts.redis, (REDIS_PORT, SENTINEL_PORT)))
    inside = [port for where, ports in places if where is Store.MANAGED for port in ports]
    known = (parts.postgres_external, parts.redis_external, parts.traces_external, *others)
    outside = [it for it in known if it is not None]
    return [
        *([{"namespace": Namespace.DATA.value, "ports": inside}] if inside else []),
        *([{"namespace": Namespace.TRACES.value, "ports": [OTLP_PORT]}] if parts.traces is Store.MANAGED else []),
        *({"network": it.network, "ports": [it.port]} for it in outside),
    ]


def redis_urls(password: str) -> dict[str, str]:
    """The addresses of Redis that the platform brings along, by the key of the Secret that they stand under.

    Args:
        password: Of the user for services; its characters need no quoting.
    """
    login = f"{naming.REDIS_USER}:{password}"
    hosts = (naming.cluster_host(naming.redis_member(n), Namespace.DATA) for n in range(naming.REDIS_MEMBERS))
    sentinels = ",".join(f"{host}:{SENTINEL_PORT}" for host in hosts)
    return {
        "url": f"rediss+sentinel://{login}@{sentinels}/{naming.REDIS_SET}/0",
        "cache-url": f"rediss://{login}@{naming.REDIS_CACHE_HOST}:{REDIS_PORT}/0",
    }
