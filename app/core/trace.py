"""Which trace the current work belongs to (W3C `traceparent`), and its spans. Without a recorder there are no spans.

A trace's id is always there, continues what a caller sent, and is in every log line and message; this costs a few
microseconds and no library. `app.core.tracing` sets a recorder where spans are sent somewhere (docs/adr/0064).
"""

import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol, Self

_HEADER = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1

Attributes = Mapping[str, str | int]


class Kind(Enum):
    """On which side of a conversation a span is."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True)
class Trace:
    """Where in a trace one is.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: of the span that is going on, 16 hexadecimal digits.
        sampled: whether whoever began the trace wants its spans kept.
    """

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def header(self) -> str:
        """The value of `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


class Span(Protocol):
    """One piece of work that is being recorded."""

    @property
    def trace(self) -> Trace:
        """Where it is."""
        ...

    def end(self, *, attributes: Attributes | None = None, error: str | None = None) -> None:
        """End it; `error` says in a word why it failed."""
        ...


class Recorder(Protocol):
    """Makes spans."""

    def start(self, name: str, kind: Kind, parent: Trace | None, attributes: Attributes) -> Span:
        """Begin a span; without a parent it begins a trace."""
        ...


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)
_recorder: Recorder | None = None


def use(recorder: Recorder | None) -> None:
    """Record spans of this process from now on; None: no more."""
    global _recorder  # noqa: PLW0603 - one for each process, as loggers are
    _recorder = recorder


def parse(header: str | None) -> Trace | None:
    """Return what a `traceparent` says; None for none, and for one that is not of the form."""
    found = _HEADER.fullmatch(header or "")
    if found is None or (found[1] == "00" and found[5] is not None):  # only later versions may say more
        return None
    return Trace(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


def current() -> Trace | None:
    """Return where the current work is, None if it belongs to no trace."""
    return _current.get()


def enter(given: Trace | None) -> None:
    """Let the current work belong to a trace; None: to none."""
    _current.set(given)


def begin(name: str, kind: Kind, header: str | None, attributes: Attributes) -> Span | None:
    """Begin work that came from elsewhere, with its `traceparent`; the caller ends the span, if there is one."""
    parent = parse(header)
    if _recorder is None:
        if parent is None:
            digits = os.urandom(24).hex()  # of the system: forked processes must not make the same ids
            parent = Trace(digits[:32], digits[32:], sampled=False)
        enter(parent)
        return None
    span = _recorder.start(name, kind, parent, attributes)
    enter(span.trace)
    return span


def span(name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[object]:
    """Record a block as a span of the current trace; nothing outside of one, or if nobody records."""
    parent = current()
    if _recorder is None or parent is None:
        return nullcontext()
    return _Block(_recorder.start(name, kind, parent, attributes))


class _Block:
    """A span as long as a block."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._before = _current.set(span.trace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        _current.reset(self._before)
        self._span.end(error=None if kind is None else kind.__name__)
