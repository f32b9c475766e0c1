"""Looks at Redis and Sentinel, decides, and carries the decision out: one round at a time."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from infra.redis_keeper.decision import (
    Decision,
    Elect,
    Follow,
    Lead,
    Member,
    Stay,
    View,
    Wait,
    Word,
    decide,
    electable,
    watched,
)
from infra.redis_keeper.health import Health
from infra.redis_keeper.wire import SILENT, Access, Answer, Lines, Place, RefusedError, ask

#: The key that tells how fresh data is: milliseconds since 1970 of the last look of the master's keeper.
PULSE: Final = "slipway:pulse"
#: What Sentinels go by: they never elect a member of priority 0, which is what each member starts with.
_ELECTABLE: Final = 100


@dataclass(frozen=True)
class Group:
    """The set that a member belongs to.

    Places are those by which members and Sentinels name each other: numbers, since both Redis and Sentinel stand still
    while they wait for a name server.

    Attributes:
        name: What Sentinels call it.
        ordinal: This member's number, from 0.
        redis: Where each member is reached by the others.
        sentinels: Where each Sentinel is reached by the others.
        own_redis: Where the keeper reaches its own Redis.
        own_sentinel: Where it reaches its own Sentinel.
        access: Who it is to all of them.
        down_after: Milliseconds of silence after which a Sentinel holds a member for down.
        failover_timeout: Milliseconds that one attempt at a failover may take.
        lines: Connections to this member's own pod, which is asked in every round.
    """

    name: str
    ordinal: int
    redis: tuple[Place, ...]
    sentinels: tuple[Place, ...]
    own_redis: Place
    own_sentinel: Place
    access: Access
    down_after: int = 5000
    failover_timeout: int = 5000
    lines: Lines = field(default_factory=Lines, repr=False, compare=False)

    def ask(self, place: Place, *commands: tuple[str, ...]) -> list[Answer]:
        """Send commands to a place; of this member's own pod nobody is asked who they are. Raises as `wire.ask`."""
        if place in {self.own_redis, self.own_sentinel}:
            return self.lines.ask(place, replace(self.access, authority=None), *commands)
        return ask(place, self.access, *commands)


def round_of(group: Group, health: Health) -> Decision:
    """Look, decide, act. What does not answer is left out; what refuses an order is asked again in the next round."""
    own, mine = member(group, group.own_redis), word(group, group.own_sentinel)
    health.saw(own, mine)
    if own is None:
        return Wait("this member's own Redis does not answer, or still loads its data")
    if own.master:
        _beat(group, own)
    if mine is not None and _settled(group, own, mine):
        _set_priority(group, electable=True)
        return Stay()
    _announce(group)
    others = [ordinal for ordinal in range(len(group.redis)) if ordinal != group.ordinal]
    peers = {ordinal: it for ordinal in others if (it := member(group, group.redis[ordinal])) is not None}
    words = {ordinal: it for ordinal in others if (it := word(group, group.sentinels[ordinal])) is not None}
    if mine is not None:
        words[group.ordinal] = mine
    view = View(group.ordinal, own, len(group.redis), peers, words)
    decision = decide(view)
    _carry_out(group, decision)
    _set_priority(group, electable=isinstance(decision, Lead) or electable(view))
    master = group.ordinal if isinstance(decision, Lead) else watched(view)
    if mine is not None and mine.names is None and master is not None:
        _watch(group, master)
    return decision


def member(group: Group, place: Place) -> Member | None:
    """What the Redis at a place says of itself; None if it does not answer, or cannot yet."""
    try:
        # INFO before GET: a Redis that still loads answers the one and refuses the other.
        told, pulse = group.ask(place, ("INFO",), ("GET", PULSE))
    except SILENT:
        return None
    return parse_member(group.redis, str(told), None if pulse is None else str(pulse))


def parse_member(places: tuple[Place, ...], told: str, pulse: str | None) -> Member:
    """The answers to INFO and to GET of the pulse. Keys without a pulse are older than all that have one."""
    facts = facts_of(told)
    followed = Place(facts.get("master_host", ""), int(facts.get("master_port", "0")))
    keys = any(name.startswith("db") and name[2:].isdigit() for name in facts)
    return Member(
        master=facts["role"] == "master",
        follows=places.index(followed) if followed in places else None,
        linked=facts.get("master_link_status") == "up",
        fresh=int(pulse or keys),
    )


def facts_of(told: str) -> dict[str, str]:
    """The lines `name:value` of an answer to INFO, of Redis or of a Sentinel."""
    return dict(line.split(":", 1) for line in told.splitlines() if ":" in line)


def word(group: Group, place: Place) -> Word | None:
    """What the Sentinel at a place says; None if it does not answer."""
    try:
        (answer,) = group.ask(place, ("SENTINEL", "MASTER", group.name))
    except RefusedError as error:
        return Word(None) if "No such master" in str(error) else None
    except SILENT:
        return None
    return parse_word(group.redis, _pairs(answer))


def parse_word(places: tuple[Place, ...], facts: Mapping[str, str]) -> Word:
    """A Sentinel's answer to SENTINEL MASTER; a master that is none of the members counts as none."""
    flags = facts["flags"].split(",")
    named = Place(facts["ip"], int(facts["port"]))
    return Word(
        places.index(named) if named in places else None,
        int(facts["config-epoch"]),
        busy="o_down" in flags or "failover_in_progress" in flags,
    )


def _pairs(answer: Answer) -> dict[str, str]:
    texts = [str(it) for it in answer] if isinstance(answer, list) else []
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _settled(group: Group, own: Member, mine: Word) -> bool:
    """Whether this member's Redis and Sentinel agree, so that nobody else needs to be asked."""
    if mine.names == group.ordinal:
        return own.master
    return own.linked and own.follows is not None and own.follows == mine.names


def _beat(group: Group, own: Member) -> None:
    """Write the time into the data; later than the last one, also if this machine's clock is behind.

    A master without a replica refuses this as every other write: then it holds nothing newer either.
    """
    now = max(time.time_ns() // 1_000_000, own.fresh + 1)
    with contextlib.suppress(*SILENT):
        group.ask(group.own_redis, ("SET", PULSE, str(now)))


def _set_priority(group: Group, *, electable: bool) -> None:
    order(group, group.own_redis, ("CONFIG", "SET", "replica-priority", str(_ELECTABLE if electable else 0)))


def _announce(group: Group) -> None:
    """Say under which address this Redis is reached; it does not see that itself, and forgets it."""
    place = group.redis[group.ordinal]
    values = ("replica-announce-ip", place.host, "replica-announce-port", str(place.port))
    order(group, group.own_redis, ("CONFIG", "SET", *values))


def introduce(group: Group) -> bool:
    """Say the same to this member's Sentinel, and who it is to the others. It writes it down: once is enough."""
    place = group.sentinels[group.ordinal]
    settings = {"announce-ip": place.host, "announce-port": str(place.port)}
    if group.access.user:
        settings |= {"sentinel-user": group.access.user, "sentinel-pass": group.access.password}
    return order(group, group.own_sentinel, *(("SENTINEL", "CONFIG", "SET", *pair) for pair in settings.items()))


def _watch(group: Group, master: int) -> None:
    """Tell this member's Sentinel whom to watch, and how."""
    if not introduce(group):
        return
    place, name = group.redis[master], group.name
    quorum = str(len(group.sentinels) // 2 + 1)
    settings = {
        "down-after-milliseconds": str(group.down_after),
        "failover-timeout": str(group.failover_timeout),
        "parallel-syncs": "1",
    }
    if group.access.user:
        settings |= {"auth-user": group.access.user, "auth-pass": group.access.password}
    order(
        group,
        group.own_sentinel,
        ("SENTINEL", "MONITOR", name, place.host, str(place.port), quorum),
        *(("SENTINEL", "SET", name, *pair) for pair in settings.items()),
    )


def _carry_out(group: Group, decision: Decision) -> None:
    match decision:
        case Lead():
            order(group, group.own_redis, ("REPLICAOF", "NO", "ONE"))
        case Follow(ordinal):
            place = group.redis[ordinal]
            order(group, group.own_redis, ("REPLICAOF", place.host, str(place.port)))
        case Elect():
            _elect(group)
        case Stay() | Wait():
            pass


def _elect(group: Group) -> None:
    """Ask one Sentinel after the other until one elects: a Sentinel that is new knows of no replica."""
    for place in group.sentinels:
        with contextlib.suppress(*SILENT):
            group.ask(place, ("SENTINEL", "FAILOVER", group.name))
            return


def order(group: Group, place: Place, *commands: tuple[str, ...]) -> bool:
    """Give orders; False, and a line of the log, if they are not taken."""
    try:
        group.ask(place, *commands)
    except SILENT as error:
        print(f"{place.host}:{place.port} did not take {commands[0][0]} {commands[0][1]}: {error}", flush=True)  # noqa: T201  # its log
        return False
    return True
