"""Where Redis is: at one address, or wherever its Sentinels say that its master is now."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

SENTINEL_FORM = "redis+sentinel://[user:password@]host:port[,host:port...]/NAME[/database]"
_SENTINEL = re.compile(
    r"redis\+sentinel://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?(?P<hosts>[^@/]+)/(?P<name>[^/]+)(?:/(?P<db>\d+))?"
)


@dataclass(frozen=True)
class SentinelPlace:
    """A Redis whose master is asked for at Sentinels.

    Attributes:
        hosts: host and port of each Sentinel; the first one that answers counts.
        name: what they call the set.
        database: number of the database.
        login: user and password of both Redis and Sentinels, as a client takes them; empty if none is asked for.
    """

    hosts: tuple[tuple[str, int], ...]
    name: str
    database: int
    login: dict[str, str]


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
    return SentinelPlace(tuple(hosts), found["name"], int(found["db"] or 0), login)


def connect(url: str, **options: Any) -> Redis:
    """Return a client; nothing is connected until the first command.

    With Sentinels each new connection asks them for the master. One that finds itself at a former master, because
    that one refuses writes, counts as broken: the next command asks again.

    Args:
        url: `redis://`, `rediss://`, or of the form `SENTINEL_FORM`.
        options: of the client, such as timeouts; those for sockets count for Sentinels too.
    """
    place = parse_sentinels(url)
    if place is None:
        return Redis.from_url(url, **options)
    sockets = {key: value for key, value in options.items() if key.startswith("socket_") or key == "retry"}
    # The client's own default is ten tries with pauses: at a Sentinel that is gone, while others would answer.
    sentinels = Sentinel(list(place.hosts), sentinel_kwargs={"retry": Retry(NoBackoff(), 0), **place.login, **sockets})
    return sentinels.master_for(place.name, db=place.database, **place.login, **options)
