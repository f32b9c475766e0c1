"""Statements over messages. The table is the truth; the stream in Redis only carries what is due to a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Insert, delete, func, insert, select, update

from app.core import trace
from app.models import Message, table_of
from app.repositories.bound import bound, given

#: Columns of a message and their values.
Announcement = Mapping[str, Any]

_TABLE = table_of(Message)
_WHAT = (_TABLE.c.id, _TABLE.c.topic, _TABLE.c.payload, _TABLE.c.trace, _TABLE.c.traceparent)
_ANNOUNCED = ("topic", "payload", "trace", "traceparent", "attempts", "due_at")
_PREFIX = "message"
MOST_ATTEMPTS = 5
# A published message whose consumer has not committed by then is published again.
_AGAIN_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class Due:
    """A message on its way to a worker.

    Attributes:
        id: of its row.
        topic: what happened, as `user.created`.
        payload: to what; fields are only ever added, so that versions N and N-1 can read each other's.
        trace: id of the request that caused it.
        traceparent: where in a trace that was, as W3C writes it; None if nobody knows.
    """

    id: int
    topic: str
    payload: dict[str, Any]
    trace: str | None
    traceparent: str | None = None


def announcement(topic: str, payload: dict[str, Any], at: datetime, request_id: str | None) -> Announcement:
    """Return what is written to announce something; `tables.add` makes it part of its own statement.

    Args:
        topic: what happened, as `user.created`.
        payload: to what.
        at: when; it is due at once.
        request_id: in which request, None for commands.
    """
    here = trace.current()
    return {
        "topic": topic,
        "payload": payload,
        "trace": request_id,
        "traceparent": None if here is None else here.header,
        "attempts": 0,
        "due_at": at,
    }


def bound_announcement() -> Insert:
    """Return the statement for any announcement; goes with `announcement_parameters`."""
    return insert(_TABLE).values(bound(_TABLE, _ANNOUNCED, _PREFIX))


def announcement_parameters(made: Announcement) -> dict[str, Any]:
    """Return what `bound_announcement` is executed with."""
    return given(made, _PREFIX)


def announce(connection: Connection, made: Announcement) -> None:
    """Write an announcement down by itself."""
    connection.execute(bound_announcement(), announcement_parameters(made))


def take_due(connection: Connection, now: datetime, limit: int) -> Sequence[Due]:
    """Return messages to publish now, and make them due again later in case nobody acts on them.

    First publication and republication are the same thing, so a lost stream entry costs time, never a message.
    """
    due = (
        select(_TABLE.c.id)
        .where(_TABLE.c.due_at <= now, _TABLE.c.dead_at.is_(None))
        .order_by(_TABLE.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = update(_TABLE).where(_TABLE.c.id.in_(due)).values(due_at=now + _AGAIN_AFTER).returning(*_WHAT)
    return [Due(*row) for row in connection.execute(taken)]


def counts(connection: Connection, now: datetime) -> tuple[int, int, float]:
    """Return how many messages are open, how many dead, and for how many seconds the oldest due one has been so."""
    due, dead = _TABLE.c.due_at, _TABLE.c.dead_at.is_not(None)
    row = connection.execute(
        select(func.count().filter(~dead), func.count().filter(dead), func.min(due).filter(~dead))
    ).one()
    late = 0.0 if row[2] is None else max(0.0, (now - row[2]).total_seconds())
    return row[0], row[1], late


def close(connection: Connection, message_id: int) -> bool:
    """Delete a message because it is acted on in this transaction; False if that has happened before."""
    statement = delete(_TABLE).where(_TABLE.c.id == message_id, _TABLE.c.dead_at.is_(None))
    return connection.execute(statement).rowcount == 1


def failed(connection: Connection, message_id: int, error: str, now: datetime) -> bool:
    """Note a failed attempt; True if it was the last one and the message is dead now."""
    attempts = connection.execute(
        update(_TABLE)
        .where(_TABLE.c.id == message_id)
        .values(attempts=_TABLE.c.attempts + 1, error=error)
        .returning(_TABLE.c.attempts)
    ).scalar_one_or_none()
    if attempts is None:
        return False
    dead = attempts >= MOST_ATTEMPTS
    later = {"dead_at": now} if dead else {"due_at": now + timedelta(seconds=2**attempts)}
    connection.execute(update(_TABLE).where(_TABLE.c.id == message_id).values(**later))
    return dead


def replay_dead(connection: Connection, now: datetime) -> int:
    """Give every dead message a new set of attempts; return how many."""
    revived = update(_TABLE).where(_TABLE.c.dead_at.is_not(None)).values(dead_at=None, attempts=0, due_at=now)
    return connection.execute(revived).rowcount
