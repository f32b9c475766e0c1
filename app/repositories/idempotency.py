"""Statements over idempotency keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update
from sqlalchemy.dialects.postgresql import insert

from app.models import IdempotencyKey, table_of
from app.repositories.bound import bound, given

_TABLE = table_of(IdempotencyKey)
_PREFIX = "claim"
_CLAIM = insert(_TABLE).values(bound(_TABLE, _TABLE.c.keys(), _PREFIX)).on_conflict_do_nothing().returning(_TABLE.c.key)


class KeyReusedError(Exception):
    """The same key came with another request."""


@dataclass(frozen=True)
class Claim:
    """A client's promise that requests with this key are the same request.

    Attributes:
        scope: principal and route; the same key in another scope is another key.
        key: the client's text.
        request_hash: SHA-256 of the request body.
    """

    scope: str
    key: str
    request_hash: bytes


def claim(connection: Connection, wanted: Claim, result: dict[str, Any], now: datetime) -> dict[str, Any] | None:
    """Store `result` under the key, or return the result that an earlier request stored there.

    A concurrent duplicate waits in the INSERT until the first transaction ends. The earlier row is *updated*, not
    read: the commit of that update is acknowledged by the synchronous replica only after everything before it,
    so a replayed success is as durable as a first one.

    Raises:
        KeyReusedError: the key belongs to a request with another body.
    """
    values = {**vars(wanted), "result": result, "replays": 0, "created_at": now}
    inserted = connection.execute(_CLAIM, given(values, _PREFIX)).one_or_none()
    if inserted is not None:
        return None
    earlier = connection.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.scope == wanted.scope, IdempotencyKey.key == wanted.key)
        .values(replays=IdempotencyKey.replays + 1)
        .returning(IdempotencyKey.request_hash, IdempotencyKey.result)
    ).one()
    if earlier.request_hash != wanted.request_hash:
        raise KeyReusedError
    return earlier.result
