"""Read your own writes: a token names a position in the primary's log, and a replica that is behind it is not asked."""

import re
from contextvars import ContextVar
from dataclasses import dataclass

_POSITION = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}")


@dataclass
class Consistency:
    """What one request knows about positions in the log.

    Attributes:
        seen: the position that reads must have reached, None for any.
        written: the position after this request's last commit, None if it has not committed.
        stale: True if no server that has reached `seen` answered, and a replica was read all the same.
    """

    seen: str | None = None
    written: str | None = None
    stale: bool = False


_current: ContextVar[Consistency | None] = ContextVar("consistency", default=None)


def begin(token: str | None) -> Consistency:
    """Start a request with the client's token; one that is not of our form counts as none."""
    state = Consistency(seen=token if token and _POSITION.fullmatch(token) else None)
    _current.set(state)
    return state


def current() -> Consistency:
    """Return the state of the current request; outside of one, a state that asks for nothing."""
    return _current.get() or Consistency()
