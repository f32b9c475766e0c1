"""A trace as Jaeger tells it, and its spans in the order in which a person reads them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Tags that other columns say, or that only programs use.
_HIDDEN: Final = frozenset({"span.kind", "internal.span.format", "otel.scope.name", "otel.scope.version", "error"})


class UnknownTraceError(LookupError):
    """Jaeger has no such trace."""


@dataclass(frozen=True)
class Span:
    """One piece of work.

    Attributes:
        identifier: Its own, 16 hexadecimal digits.
        parent: That of what it is a part of; empty for the first, also if the parent was never kept.
        service: Who did it.
        name: What was done.
        start: Seconds after the trace began.
        seconds: How long it took.
        failed: Whether it says that it failed.
        tags: What else it says.
    """

    identifier: str
    parent: str
    service: str
    name: str
    start: float
    seconds: float
    failed: bool
    tags: Mapping[str, object]


@dataclass(frozen=True)
class Placed:
    """A span, and how many others it is inside of."""

    depth: int
    span: Span


@dataclass(frozen=True)
class Trace:
    """All that is known of one request.

    Attributes:
        identifier: 32 hexadecimal digits.
        began: Unix time.
        seconds: From the first begin to the last end.
        spans: In the order of a tree: what is inside of a span follows it, oldest first.
    """

    identifier: str
    began: float
    seconds: float
    spans: tuple[Placed, ...]


def parse(answer: Mapping[str, Any]) -> Trace:
    """Read Jaeger's answer to `/api/traces/ID`, whose times are microseconds.

    Raises:
        UnknownTraceError: It holds no span.
    """
    found = (answer.get("data") or [{}])[0]
    raw = found.get("spans") or []
    if not raw:
        raise UnknownTraceError("Jaeger has no span of this trace")
    known = {it["spanID"] for it in raw}
    began = min(it["startTime"] for it in raw)
    spans = [_span(it, found["processes"], began, known) for it in raw]
    ends = max(it.start + it.seconds for it in spans)
    return Trace(found["traceID"], began / 1e6, ends, tuple(_tree(spans)))


def _span(raw: Mapping[str, Any], processes: Mapping[str, Any], began: int, known: set[str]) -> Span:
    tags = {it["key"]: it["value"] for it in raw.get("tags", ())}
    above = [it["spanID"] for it in raw.get("references", ()) if it["refType"] == "CHILD_OF"]
    parents = [it for it in above if it in known]
    return Span(
        raw["spanID"],
        parents[0] if parents else "",
        processes[raw["processID"]]["serviceName"],
        raw["operationName"],
        (raw["startTime"] - began) / 1e6,
        raw["duration"] / 1e6,
        tags.get("error") is True or tags.get("otel.status_code") == "ERROR",
        {key: value for key, value in tags.items() if key not in _HIDDEN},
    )


def _tree(spans: Sequence[Span]) -> Iterator[Placed]:
    inside: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda it: (it.start, -it.seconds, it.identifier)):
        inside.setdefault(span.parent, []).append(span)
    open_: list[Placed] = [Placed(0, span) for span in reversed(inside.get("", []))]
    while open_:
        placed = open_.pop()
        yield placed
        open_ += [Placed(placed.depth + 1, it) for it in reversed(inside.get(placed.span.identifier, []))]


def bar(span: Span, whole: float, width: int) -> tuple[int, int]:
    """Where a span's bar begins and how long it is, in characters: at least one, and never over the edge.

    Args:
        span: The span.
        whole: Seconds of the whole trace.
        width: Characters of the whole trace.
    """
    if whole <= 0:
        return 0, width
    begin, length = (int(min(it / whole, 1.0) * width) for it in (span.start, span.seconds))
    begin = min(begin, width - 1)
    return begin, max(1, min(length, width - begin))
