"""Where Redis is: at one address, or wherever its Sentinels say that its master is now."""

import re
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from redis import Connection, ConnectionPool, Redis, SSLConnection
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

SENTINEL_FORM = "redis(s)+sentinel://[user:password@]host:port[,host:port...]/NAME[/database]"
_SENTINEL = re.compile(
    r"redis(?P<tls>s?)\+sentinel://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?(?P<hosts>[^@/]+)/(?P<name>[^/]+)(?:/(?P<db>\d+))?"
)


@dataclass(frozen=True)
class SentinelPlace:
    """A Redis whose master is asked for at Sentinels.

    Attributes:
        hosts: host and port of each Sentinel; the first one that answers counts.
        name: what they call the set.
        database: number of the database.
        login: user and password of both Redis and Sentinels, as a client takes them; empty if none is asked for.
        tls: whether both speak TLS.
    """

    hosts: tuple[tuple[str, int], ...]
    name: str
    database: int
    login: dict[str, str]
    tls: bool = False


def parse_sentinels(url: str) -> SentinelPlace | None:
    """Return the place that an address of the form `SENTINEL_FORM` means; None if it is not of that form."""
    found = _SENTINEL.fullmatch(url)
    if found is None:
        return None
    hosts: list[tuple[str, int]] = []
    for text in found["hosts"].split(","):
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit():
            return None
        hosts.append((host, int(port)))
    login = {key: unquote(text) for key, text in (("username", found["user"]), ("password", found["password"])) if text}
    return SentinelPlace(tuple(hosts), found["name"], int(found["db"] or 0), login, tls=bool(found["tls"]))


class _Trusting(SSLConnection):
    """One by TLS, for which an authority of the platform's is trusted and nobody else.

    The library reads all public authorities for each connection, which takes longer than a cache may (ADR 104).
    """

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        file = Path(str(self.ca_certs))
        return _trust(file, file.stat().st_mtime_ns).wrap_socket(sock, server_hostname=self.host)


class _TrustingToMaster(SentinelManagedConnection, _Trusting):
    """The same to the master that Sentinels name."""


@lru_cache(maxsize=2)
def _trust(authority: Path, _changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


def connect(url: str, authority: Path | None = None, **options: Any) -> Redis:
    """Return a client; nothing is connected until the first command.

    With Sentinels each new connection asks them for the master. One that finds itself at a former master, because
    that one refuses writes, counts as broken: the next command asks again.

    Args:
        url: `redis://`, `rediss://`, or of the form `SENTINEL_FORM`.
        authority: file with the certificate of who signs for a Redis that speaks TLS; without it the public ones count.
        options: of the client, such as timeouts; those for sockets count for Sentinels too.
    """
    place = parse_sentinels(url)
    tls = url.startswith("rediss:") if place is None else place.tls
    direct, to_master = (
        (SSLConnection, SentinelManagedSSLConnection) if tls else (Connection, SentinelManagedConnection)
    )
    trusted = {}
    if tls and authority is not None:
        direct, to_master, trusted = _Trusting, _TrustingToMaster, {"ssl_ca_certs": str(authority)}
    if place is None:
        return Redis.from_url(url, connection_class=direct, **trusted, **options)
    sockets = {key: value for key, value in options.items() if key.startswith("socket_") or key == "retry"}
    # The client's own default is ten tries with pauses: at a Sentinel that is gone, while others would answer.
    told: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), **place.login, **trusted, **sockets}
    sentinels = Sentinel([])
    sentinels.sentinels = [
        Redis.from_pool(ConnectionPool(connection_class=direct, host=host, port=port, **told))
        for host, port in place.hosts
    ]
    return sentinels.master_for(
        place.name, connection_class=to_master, db=place.database, **place.login, **trusted, **options
    )
