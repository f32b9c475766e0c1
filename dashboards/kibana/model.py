"""The form of a dashboard over log lines. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dashboards import naming

#: What ends a quoted value of KQL.
_UNSAFE: Final = frozenset('"\\\n')


class Kind(StrEnum):
    """How a panel shows it; the values are Kibana's names."""

    LINES = "line"
    BARS = "bar_stacked"
    TABLE = "data_table"


class Operation(StrEnum):
    """How many lines become one number; the values are Kibana's names."""

    COUNT = "count"
    MAX = "max"
    PERCENTILE = "percentile"


@dataclass(frozen=True)
class Only:
    """A condition on one field of a line: one of some values, a least number, or that the field is there at all.

    `others` turns values round: every line but those with one of them.
    """

    field: str
    values: tuple[str, ...] = ()
    least: int | None = None
    others: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be said in both languages. Raises `ValueError`."""
        if self.values and self.least is not None:
            raise ValueError(f"the condition on {self.field} has values and a least number; it can have one of them")
        if self.others and not self.values:
            raise ValueError(f"the condition on {self.field} leaves out no value; name those to leave out")
        if bad := [value for value in self.values if set(value) & _UNSAFE or not value]:
            raise ValueError(f"the condition on {self.field} has {bad[0]!r}; empty, quotes and backslashes are refused")


@dataclass(frozen=True)
class Measure:
    """One number for each group of lines.

    Attributes:
        label: Its name.
        operation: How it is made.
        field: Of what; a count has none.
        percentile: Which one, of a percentile.
        only: What is counted; all lines if there is none.
    """

    label: str
    operation: Operation = Operation.COUNT
    field: str = ""
    percentile: int = 0
    only: tuple[Only, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no number. Raises `ValueError`."""
        if bool(self.field) is (self.operation is Operation.COUNT):
            raise ValueError(f"{self.label!r} is a {self.operation} of {self.field!r}; a count has no field, others do")
        if (self.operation is Operation.PERCENTILE) is not (0 < self.percentile < 100):  # noqa: PLR2004 - a percentile
            raise ValueError(f"{self.label!r} has the percentile {self.percentile}; of a percentile it is 1 to 99")
        if self.only and self.operation is not Operation.COUNT:
            raise ValueError(f"{self.label!r} has conditions; only a count can have some")


@dataclass(frozen=True)
class Split:
    """A group for each value of a field, the largest first."""

    field: str
    limit: int = 10


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        description: What to look for, for people who see it the first time.
        measures: The numbers; groups are ordered by the first of them.
        moved_by: The drill or load that must move it: a panel that nothing moves is dead.
        kind: How it is shown: over time, or as a table.
        splits: Groups; over time at most one.
        only: Which lines.
        width: In forty-eighths of the page.
    """

    title: str
    description: str
    measures: tuple[Measure, ...]
    moved_by: str
    kind: Kind = Kind.LINES
    splits: tuple[Split, ...] = ()
    only: tuple[Only, ...] = ()
    width: int = 24

    def __post_init__(self) -> None:
        """Refuse a panel that nobody could read, or that cannot be asked. Raises `ValueError`."""
        if not (self.title and self.description and self.moved_by and self.measures):
            raise ValueError(f"the panel {self.title!r} needs a title, a description, a measure, and what moves it")
        if self.over_time and len(self.splits) > 1:
            raise ValueError(f"the panel {self.title!r} goes over time and has {len(self.splits)} splits; 1 at most")
        if not self.over_time and not self.splits:
            raise ValueError(f"the panel {self.title!r} is a table without rows; give it a split")
        if self.splits and self.measures[0].operation is Operation.PERCENTILE:
            raise ValueError(f"the panel {self.title!r} orders groups by a percentile; begin with a count or a maximum")

    @property
    def over_time(self) -> bool:
        """Whether time is its axis."""
        return self.kind is not Kind.TABLE

    @property
    def fields(self) -> frozenset[str]:
        """Every field that it looks at."""
        conditions = [*self.only, *(only for measure in self.measures for only in measure.only)]
        named = [*(it.field for it in conditions), *(it.field for it in self.splits)]
        return frozenset([*named, *(it.field for it in self.measures if it.field)])


@dataclass(frozen=True)
class Dashboard:
    """A page of panels.

    Attributes:
        uid: Stable and unique: Kibana knows a dashboard by it.
        title: Its name.
        description: One sentence.
        panels: In order.
    """

    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]

    def __post_init__(self) -> None:
        """Refuse what Kibana would mix up with another. Raises `ValueError`."""
        naming.check(self.uid, self.title, [panel.title for panel in self.panels])


def kql(conditions: Sequence[Only]) -> str:
    """The conditions in Kibana's language; empty for none."""
    return " and ".join(_said(it) for it in conditions)


def _said(condition: Only) -> str:
    if condition.least is not None:
        return f"{condition.field} >= {condition.least}"
    if not condition.values:
        return f"{condition.field}: *"
    either = " or ".join(f'"{value}"' for value in condition.values)
    return f"{'not ' if condition.others else ''}{condition.field}: ({either})"
