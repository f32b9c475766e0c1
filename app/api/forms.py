"""What each version of the API makes of the rows of a kind. The first shows and takes them as they are stored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from app.repositories.tables import Record
from app.services.kinds import COURSES, Kind


def _as_it_is(values: Record) -> Record:
    return values


@dataclass(frozen=True)
class Form:
    """One version of one kind.

    Attributes:
        fields: field that clients see -> the columns that it is made of.
        made: field that is no column -> how it is made of a row.
        stored: turns what a client sends into columns.
    """

    fields: Mapping[str, tuple[str, ...]]
    made: Mapping[str, Callable[[Record], object]] = field(default_factory=dict[str, Callable[[Record], object]])
    stored: Callable[[Record], Record] = _as_it_is

    def columns(self, names: Iterable[str]) -> list[str]:
        """Return the columns that fields are made of."""
        return list(dict.fromkeys(column for name in names for column in self.fields[name]))

    def show(self, record: Record, names: Iterable[str]) -> dict[str, object]:
        """Return fields of a row as clients of this version see them."""
        return {name: self.made[name](record) if name in self.made else record[name] for name in names}


def plain(kind: Kind) -> Form:
    """Return the form in which each column is a field."""
    return Form({name: (name,) for name in kind.fields})


def _with_total(values: Record) -> Record:
    return {**values, "seats": values["seats"]["total"]} if "seats" in values else values


COURSES_V2 = Form(
    fields={name: (name,) for name in COURSES.fields if name != "seats_taken"} | {"seats": ("seats", "seats_taken")},
    made={"seats": lambda record: {"total": record["seats"], "taken": record["seats_taken"]}},
    stored=_with_total,
)
