"""The form of a dashboard. Values only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dashboards import naming

#: Variables that queries may use, with what stands for them where no Grafana fills them in.
VARIABLES: Final[Mapping[str, str]] = {"namespace": "dev", "service": "payload"}
_VARIABLE: Final = re.compile(r"\$([a-z]+)")


class Unit(StrEnum):
    """What a panel counts; the values are Grafana's names."""

    PER_SECOND = "reqps"
    SHARE = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"
    CORES = "cores"
    COUNT = "short"


class Kind(StrEnum):
    """How a panel shows it."""

    LINES = "lines"
    NUMBER = "number"


@dataclass(frozen=True)
class Query:
    """One expression.

    Attributes:
        expression: PromQL; `$namespace` and `$service` are filled in.
        legend: Name of each line, with `{{label}}` for its labels.
    """

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        description: What to look for, for people who see it the first time.
        unit: What it counts.
        queries: What is asked; each must give something.
        moved_by: The drill or load that must move it: a panel that nothing moves is dead.
        kind: How it is shown.
        limit: From where on it is bad; drawn as a line.
        width: In twenty-fourths of the page.
    """

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    moved_by: str
    kind: Kind = Kind.LINES
    limit: float | None = None
    width: int = 12

    def __post_init__(self) -> None:
        """Refuse a panel that nobody could read. Raises `ValueError`."""
        if not (self.title and self.description and self.moved_by and self.queries):
            raise ValueError(f"the panel {self.title!r} needs a title, a description, a query, and what moves it")
        for query in self.queries:
            if unknown := set(_VARIABLE.findall(query.expression)) - VARIABLES.keys():
                raise ValueError(f"the panel {self.title!r} uses {sorted(unknown)}; there are {', '.join(VARIABLES)}")


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page of panels.

    Attributes:
        uid: Stable and unique: Grafana knows a dashboard by it.
        title: Its name.
        description: One sentence.
        rows: Its panels.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        """Refuse what Grafana would mix up with another. Raises `ValueError`."""
        naming.check(self.uid, self.title, [panel.title for panel in self.panels])

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that its queries use."""
        used = {
            name for panel in self.panels for query in panel.queries for name in _VARIABLE.findall(query.expression)
        }
        return tuple(name for name in VARIABLES if name in used)


def filled(expression: str, values: Mapping[str, str] = VARIABLES) -> str:
    """An expression with its variables filled in.

    Raises:
        ValueError: a value holds what would end the matcher.
    """
    for name, value in values.items():
        if set(value) & set('"\\\n'):
            raise ValueError(f"the variable {name} cannot be {value!r}: quotes and backslashes are not allowed")
    return _VARIABLE.sub(lambda found: values[found.group(1)], expression)
