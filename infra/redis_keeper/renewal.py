"""A certificate that was made anew, and how a member takes it over: what is served is compared with what is mounted.

Redis reads its files again when it is told to, and keeps every connection. Sentinel has no such order: it is ended, and
whoever runs its container starts it again. One Sentinel at a time, in the order of the members, and only once every
Redis has the new certificate: so a majority always watches, and none of them meets a certificate that it does not know.
"""

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from infra.redis_keeper.keeper import Group, order
from infra.redis_keeper.wire import SILENT, Place

#: Seconds between two looks. A kubelet takes up to a minute to bring a changed Secret into a pod.
EVERY: Final = 10.0
#: Files of the folder that holds a member's certificate, by what Redis calls them.
FILES: Final = {"tls-cert-file": "tls.crt", "tls-key-file": "tls.key", "tls-ca-cert-file": "ca.crt"}
_TIMEOUT: Final = 0.5


def renew(group: Group, folder: Path) -> str | None:
    """Look, and if something serves another certificate than the mounted one, change that; says what was done.

    Args:
        group: The set.
        folder: Where the certificate is, for the keeper and for Redis alike.
    """
    try:
        mounted = leaf((folder / FILES["tls-cert-file"]).read_text("ascii"))
    except (OSError, ValueError) as error:
        return f"the certificate in {folder} cannot be read: {error}"
    match turn(group, mounted, shown):
        case "redis":
            values = [word for name, file in FILES.items() for word in (name, str(folder / file))]
            taken = order(group, group.own_redis, ("CONFIG", "SET", *values))
            return "its Redis has another certificate" if taken else None
        case "sentinel":
            with contextlib.suppress(*SILENT):  # it ends without an answer
                group.ask(group.own_sentinel, ("SHUTDOWN",))
            return "its Sentinel is ended, to start with another certificate"
        case None:
            return None


def turn(group: Group, mounted: bytes, seen: Callable[[Place], bytes | None]) -> Literal["redis", "sentinel"] | None:
    """What of this member is to take the mounted certificate now; None if nothing is, or not yet.

    Args:
        group: The set.
        mounted: The certificate, in DER.
        seen: What is served at a place; None for silence, which is no other certificate.
    """
    if seen(group.own_redis) not in {mounted, None}:
        return "redis"
    if seen(group.own_sentinel) in {mounted, None}:
        return None
    before = (*group.redis, *group.sentinels[: group.ordinal])
    return "sentinel" if all(seen(place) == mounted for place in before) else None


def shown(place: Place) -> bytes | None:
    """The certificate that is served at a place, in DER, whoever signed it; None if nobody answers."""
    try:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((place.host, place.port), timeout=_TIMEOUT))
    except OSError:
        return None


def leaf(text: str) -> bytes:
    """The first certificate of a file in PEM, in DER.

    Raises:
        ValueError: There is none.
    """
    first, end, _ = text.partition(ssl.PEM_FOOTER)
    return ssl.PEM_cert_to_DER_cert(first + end)
