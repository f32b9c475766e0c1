"""Dashboards on the living Prometheus: which panels are dead, and what the others show."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from dashboards.grafana.model import VARIABLES, Dashboard, Panel, filled

#: Points of a drawn line at most.
POINTS: Final = 240
_LABEL: Final = re.compile(r"\{\{\w+\}\}")


class PrometheusError(RuntimeError):
    """Prometheus refused a question, or answered what is no answer; the message has both."""


@dataclass(frozen=True)
class Series:
    """One line: its labels, and its values over Unix time; not-a-number values are left out."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]


class Prometheus:
    """The little of Prometheus' interface that is needed.

    Args:
        fetch: gets the body of a path below `/api/v1/`; raises if there is none.
    """

    def __init__(self, fetch: Callable[[str], str]) -> None:
        self._fetch = fetch

    def series(self, expression: str, start: float, end: float) -> tuple[Series, ...]:
        """What an expression was in a time.

        Args:
            expression: PromQL.
            start: Unix time of the first point.
            end: Unix time of the last point.

        Raises:
            PrometheusError: it cannot be evaluated.
        """
        found = self._ask(range_path(expression, start, end))
        return tuple(Series(it["metric"], _numbers(it["values"])) for it in found["result"])

    def _ask(self, path: str) -> Any:
        try:
            answer = json.loads(self._fetch(path))
        except (OSError, ValueError, RuntimeError) as error:
            raise PrometheusError(f"Prometheus does not answer {path[:200]}: {error}") from error
        if answer.get("status") != "success":
            raise PrometheusError(f"Prometheus refuses {path[:200]}: {answer.get('error', answer)}")
        return answer["data"]


def range_path(expression: str, start: float, end: float) -> str:
    """The path, below `/api/v1/`, that asks what an expression was between two moments in Unix time."""
    step = max(5, math.ceil((end - start) / POINTS))
    return f"query_range?query={quote(expression)}&start={start:.0f}&end={end:.0f}&step={step}"


def _numbers(values: Sequence[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(at), number) for at, text in values if math.isfinite(number := float(text)))


@dataclass(frozen=True)
class Drawn:
    """A panel with what its queries gave: name of each line, and its values.

    Attributes:
        panel: Which one.
        lines: Name -> values, in the order of the queries.
        dead: Why it is dead: a query that fails, or gives nothing; empty if it lives.
    """

    panel: Panel
    lines: tuple[tuple[str, Series], ...]
    dead: str


def drawn(
    board: Dashboard, prometheus: Prometheus, start: float, end: float, values: Mapping[str, str] = VARIABLES
) -> tuple[Drawn, ...]:
    """Every panel of a dashboard with what it shows in a time."""
    return tuple(asked(panel, prometheus, start, end, values) for panel in board.panels)


def asked(panel: Panel, prometheus: Prometheus, start: float, end: float, values: Mapping[str, str]) -> Drawn:
    """One panel with what it shows in a time."""
    lines: list[tuple[str, Series]] = []
    dead: list[str] = []
    for query in panel.queries:
        expression = filled(query.expression, values)
        try:
            found = [it for it in prometheus.series(expression, start, end) if it.values]
        except PrometheusError as error:
            dead.append(str(error))
            continue
        if not found:
            dead.append(f"{expression} gives nothing")
        lines += [(legend(query.legend, it.labels), it) for it in found]
    return Drawn(panel, tuple(sorted(lines, key=lambda it: it[0])), "; ".join(dead))


def legend(text: str, labels: Mapping[str, str]) -> str:
    """A line's name with its labels filled in."""
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    # A label that this line has not.
    return _LABEL.sub("", text).strip() or "all"
