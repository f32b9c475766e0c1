"""The statements that a service runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

#: What is asked of a replica every ten seconds, of each connection: whether it follows. No request's own statement.
_LOOK = "pg_stat_wal_receiver"


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that run in the block; COMMIT is not among them, nor the look at whether a replica follows."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _LOOK not in statement:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
