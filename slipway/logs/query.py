"""What is asked of Elasticsearch, and what its answers say to a person. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from slipway.logs.keeper import INDEX

SEARCH: Final = f"/{INDEX}-*/_search"
#: ECS levels, lowest first.
LEVELS: Final = ("trace", "debug", "info", "warning", "error", "critical")
_ALIASES: Final[Mapping[str, Sequence[str]]] = {"warning": ("warning", "warn"), "critical": ("critical", "fatal")}
#: Said in other columns, or the same on every line, or only of use to the collector.
_HIDDEN: Final = frozenset(
    {
        "@timestamp",
        "message",
        "ecs.version",
        "log.level",
        "log.logger",
        "log.offset",
        "log.iostream",
        "labels.format",
        "service.environment",
        "error.stack_trace",
    }
)
_KUBERNETES: Final = "kubernetes."


@dataclass(frozen=True)
class Wanted:
    """Which lines. What is empty is not asked for.

    Attributes:
        namespace: Of the pod.
        service: `service.name` that the line says, or name of the container that printed it.
        pod: Begin of the pod's name.
        level: This level and those above; lines without a level are none of them.
        request: `http.request.id`.
        trace: `trace.id`.
        text: Words that the message has in this order.
        form: `ecs` or `text` (`labels.format`).
    """

    namespace: str = ""
    service: str = ""
    pod: str = ""
    level: str = ""
    request: str = ""
    trace: str = ""
    text: str = ""
    form: str = ""


def search(wanted: Wanted, *, since: float, lines: int) -> dict[str, Any]:
    """The body of a search for the newest lines, newest first.

    Args:
        wanted: Which.
        since: Unix time of the oldest.
        lines: How many at most.
    """
    terms = (
        ("kubernetes.namespace", wanted.namespace),
        ("http.request.id", wanted.request),
        ("trace.id", wanted.trace),
        ("labels.format", wanted.form),
    )
    asked: list[dict[str, Any]] = [{"range": {"@timestamp": {"gte": datetime.fromtimestamp(since, UTC).isoformat()}}}]
    asked += [{"term": {field: value}} for field, value in terms if value]
    if wanted.service:
        either = ("service.name", "kubernetes.container.name")
        asked.append({"bool": {"should": [{"term": {field: wanted.service}} for field in either]}})
    if wanted.pod:
        asked.append({"prefix": {"kubernetes.pod.name": wanted.pod}})
    if wanted.level:
        asked.append({"terms": {"log.level": list(spellings(wanted.level))}})
    if wanted.text:
        asked.append({"match_phrase": {"message": wanted.text}})
    return {
        "size": lines,
        "sort": [{"@timestamp": "desc"}, {"log.offset": {"order": "desc", "unmapped_type": "long"}}],
        "query": {"bool": {"filter": asked}},
    }


def spellings(level: str) -> tuple[str, ...]:
    """How programs write this level and those above: some in capitals, some by another word."""
    above = LEVELS[LEVELS.index(level) :]
    words = [word for it in above for word in _ALIASES.get(it, (it,))]
    return (*words, *(word.upper() for word in words))


@dataclass(frozen=True)
class Line:
    """One line that was found: its identifier, and everything that is kept of it, flat."""

    identifier: str
    fields: Mapping[str, Any]

    @property
    def message(self) -> str:
        """What it says."""
        return str(self.fields.get("message", ""))

    @property
    def level(self) -> str:
        """Its level in lower case; empty if it has none."""
        return str(self.fields.get("log.level", "")).lower()

    @property
    def at(self) -> str:
        """When, to the millisecond, in UTC; as it stands if it is no time."""
        text = str(self.fields.get("@timestamp", ""))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    @property
    def source(self) -> str:
        """The pod, with its namespace."""
        return f"{self.fields.get('kubernetes.namespace', '')}/{self.fields.get('kubernetes.pod.name', '')}"

    @property
    def others(self) -> dict[str, Any]:
        """What else it says."""
        return {
            name: value
            for name, value in sorted(self.fields.items())
            if name not in _HIDDEN and not name.startswith(_KUBERNETES) and value not in (None, "")
        }


def lines(answer: Mapping[str, Any]) -> list[Line]:
    """The lines of an answer, oldest first."""
    return [Line(hit["_id"], flat(hit["_source"])) for hit in reversed(answer["hits"]["hits"])]


def flat(source: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Names with dots in place of objects in objects: programs write ECS in either way.

    Whole numbers become whole again: on their way every number has become one with a fraction.
    """
    found: dict[str, Any] = {}
    for name, value in source.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = int(value) if isinstance(value, float) and value.is_integer() else value
    return found
