"""A Sentinel that spins, and how it is made to stop.

A connection that begins while its target has no address is refused by ICMP. Linux keeps that refusal in the queue of
errors of the socket, also of one that nobody told to (`tcp_v4_err` for a connection in SYN_SENT), and if the socket is
in use at that moment the connection is tried once more and established all the same. Its error is never read by Redis,
which asks `epoll` what is ready, gets this connection at once, and again, for as long as it lives: a fifth of a core
was measured, where a thousandth is usual. New connections in place of the old ones end it.
"""

from dataclasses import dataclass
from typing import Final

from infra.redis_keeper.keeper import Group, facts_of, order
from infra.redis_keeper.wire import SILENT

#: Seconds between two looks; shorter, and one failover's work would look like spinning.
EVERY: Final = 10.0
#: Share of a core above which it spins. Of a Sentinel at work 0.007 were measured.
_SPINS: Final = 0.05


@dataclass(frozen=True)
class Used:
    """How much of a core a Sentinel had used at a time.

    Attributes:
        at: Seconds of the keeper's monotonic clock.
        seconds: Of a core, since it was started.
    """

    at: float
    seconds: float


def spins(before: Used | None, now: Used) -> bool:
    """Whether it used too much since the look before; one that was started anew since then is only begun with."""
    if before is None or now.at <= before.at or now.seconds < before.seconds:
        return False
    return (now.seconds - before.seconds) / (now.at - before.at) > _SPINS


def used(group: Group, at: float) -> Used | None:
    """What this member's own Sentinel has used; None if it does not answer."""
    try:
        (told,) = group.ask(group.own_sentinel, ("INFO", "cpu"))
    except SILENT:
        return None
    facts = facts_of(str(told))
    return Used(at, float(facts["used_cpu_sys"]) + float(facts["used_cpu_user"]))


def make_anew(group: Group) -> bool:
    """Let this member's Sentinel make all its connections anew: it does so when it is told a password, even the same.

    False if it has no passwords, or does not take the order.
    """
    given = group.access
    return bool(given.user) and order(
        group,
        group.own_sentinel,
        ("SENTINEL", "SET", group.name, "auth-pass", given.password),
        ("SENTINEL", "CONFIG", "SET", "sentinel-pass", given.password),
    )
