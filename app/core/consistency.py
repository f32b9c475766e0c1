"""How fresh an answer must be.

Read your own writes: a token names a position in the primary's log, and a replica that is behind it is not asked. Who
sends `Cache-Control: no-cache` is answered by a database.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass

_POSITION = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}")


@dataclass
class Consistency:
    """What one request asks for, and knows about positions in the log.

    Attributes:
        uncached: True if it wants no answer that was kept.
        seen: the position that reads must have reached, None for any.
        written: the position after this request's last commit, None if it has not committed.
        stale: True if no server that has reached `seen` answered, and a replica was read all the same.
    """

    uncached: bool = False
    seen: str | None = None
    written: str | None = None
    stale: bool = False


_current: ContextVar[Consistency | None] = ContextVar("consistency", default=None)


def begin(token: str | None, cache_control: str) -> Consistency:
    """Start a request with what the client's headers ask for; a token that is not of our form counts as none."""
    state = Consistency(
        uncached="no-cache" in cache_control.lower(),
        seen=token if token and _POSITION.fullmatch(token) else None,
    )
    _current.set(state)
    return state


def current() -> Consistency:
    """Return the state of the current request; outside of one, a state that asks for nothing."""
    return _current.get() or Consistency()
