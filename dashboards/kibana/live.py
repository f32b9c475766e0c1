"""Kibana's panels on the living Elasticsearch: what each asks, and which are dead.

Kibana itself is not needed: a panel's question is a search with aggregations of the core, which every distribution has.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dashboards.kibana.emit import TIME
from dashboards.kibana.model import Measure, Only, Operation, Panel

#: Points of a line at most.
POINTS: Final = 120
_GROUPS: Final = "groups"
_POINTS: Final = "points"

#: Sends the body of a search over all logs and gives its answer.
Search = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class ElasticsearchError(RuntimeError):
    """Elasticsearch does not answer, or refuses a question; the message has both."""


@dataclass(frozen=True)
class Asked:
    """A panel with what it shows: numbers in all, and why it is dead; empty if it lives."""

    panel: Panel
    numbers: int
    dead: str


def question(panel: Panel, start: float, end: float) -> dict[str, Any]:
    """The body of the search behind a panel.

    Args:
        panel: Which one.
        start: Unix time of the oldest line.
        end: Unix time of the newest line.
    """
    measures = {_name(at): _measure(it) for at, it in enumerate(panel.measures)}
    step = max(5, math.ceil((end - start) / POINTS))
    inner: dict[str, Any] = measures
    if panel.over_time:
        histogram = {"field": TIME, "fixed_interval": f"{step}s", "min_doc_count": 1}
        inner = {_POINTS: {"date_histogram": histogram, "aggs": measures}}
    for split in reversed(panel.splits):
        # Groups are ordered by the first measure, which so must stand beside what is in them.
        order = {_name(0): measures[_name(0)]}
        terms = {"field": split.field, "size": split.limit, "order": {_name(0): "desc"}}
        inner = {_GROUPS: {"terms": terms, "aggs": order | inner}}
    time = {"range": {TIME: {"gte": _moment(start), "lte": _moment(end)}}}
    conditions = [time, *(_condition(it) for it in panel.only)]
    return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": conditions}}, "aggs": inner}


def asked(panel: Panel, search: Search, start: float, end: float) -> Asked:
    """One panel with what it shows in a time."""
    try:
        answer = search(question(panel, start, end))
    except ElasticsearchError as error:
        return Asked(panel, 0, str(error))
    if answer.get("timed_out") or answer["_shards"]["failed"]:
        return Asked(panel, 0, f"{panel.title}: only a part of the shards answered")
    numbers = list(_numbers(panel, answer.get("aggregations", {})))
    dead = [
        f"{measure.label} gives nothing"
        for at, measure in enumerate(panel.measures)
        if not any(place == at for place, _ in numbers)
    ]
    if dead:
        dead.append(f"{answer['hits']['total']['value']} lines match")
    return Asked(panel, len(numbers), "; ".join(dead))


def _numbers(panel: Panel, found: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    """The numbers of the innermost groups, each with the place of its measure."""
    for name in (_GROUPS, _POINTS):
        if name in found:
            for bucket in found[name]["buckets"]:
                yield from _numbers(panel, bucket)
            return
    for at, measure in enumerate(panel.measures):
        value = _value(measure, found.get(_name(at), {}))
        if value is not None:
            yield at, value


def _value(measure: Measure, found: Mapping[str, Any]) -> float | None:
    if measure.operation is Operation.COUNT:
        return found.get("doc_count")
    if measure.operation is Operation.MAX:
        return found.get("value")
    values: Sequence[Mapping[str, Any]] = found.get("values", ())
    return values[0]["value"] if values else None


def _name(at: int) -> str:
    return f"measure{at}"


def _measure(measure: Measure) -> dict[str, Any]:
    if measure.operation is Operation.COUNT:
        return {"filter": {"bool": {"filter": [_condition(it) for it in measure.only]}}}
    if measure.operation is Operation.MAX:
        return {"max": {"field": measure.field}}
    return {"percentiles": {"field": measure.field, "percents": [measure.percentile], "keyed": False}}


def _condition(condition: Only) -> dict[str, Any]:
    if condition.least is not None:
        return {"range": {condition.field: {"gte": condition.least}}}
    if not condition.values:
        return {"exists": {"field": condition.field}}
    terms = {"terms": {condition.field: list(condition.values)}}
    return {"bool": {"must_not": [terms]}} if condition.others else terms


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
