"""The page of a report: one HTML file that needs nothing else, drawn from the same values as the JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from pydantic import JsonValue

from slipway.reports.model import Report, Verdict, plain

_MARKS: Final[Mapping[bool | None, tuple[str, str]]] = {
    True: ("pass", "holds"),
    False: ("fail", "fails"),
    None: ("inconclusive", "not run"),
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading of its own.

    Attributes:
        title: the heading, plain text.
        body: HTML or inline SVG that the caller vouches for; escape foreign text with `markupsafe.escape`.
        note: one plain sentence under the heading: what is drawn, in which unit.
    """

    title: str
    body: str
    note: str = ""


def rows(columns: Sequence[str], values: Iterable[Sequence[object]]) -> str:
    """An HTML table for a `Section`; every cell is escaped unless it is markup already, numbers stand right."""
    head = Markup("").join(Markup("<th>{}</th>").format(column) for column in columns)
    lines = [
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td class="{}">{}</td>').format("number" if _is_number(cell) else "", _content(cell))
                for cell in line
            )
        )
        for line in values
    ]
    return Markup('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, Markup("").join(lines)
    )


def render(report: Report, sections: Sequence[Section] = ()) -> str:
    """The whole page as text."""
    counts = {mark: sum(1 for bar in report.bars if bar.holds is answer) for answer, (mark, _) in _MARKS.items()}
    return _template().render(
        report=report,
        counts=counts,
        bars=[(bar, plain(bar.measured), *_MARKS[bar.holds]) for bar in report.bars],
        figures=list(_flatten(report.figures)),
        sections=[(section, Markup(section.body)) for section in sections],  # noqa: S704 -- the caller vouches for it, see Section
        why=_why(report),
    )


def _why(report: Report) -> str:
    failed = sum(1 for bar in report.bars if bar.holds is False)
    unanswered = sum(1 for bar in report.bars if bar.holds is None)
    held = sum(1 for bar in report.bars if bar.holds)
    parts = [f"{held} of {len(report.bars)} bars hold"]
    if failed:
        parts.append(f"{failed} failed")
    if unanswered:
        parts.append(f"{unanswered} without an answer")
    if report.verdict is Verdict.INCONCLUSIVE and not unanswered:
        parts.append("nothing was proven")
    return ", ".join(parts)


def _content(cell: object) -> str:
    return cell if isinstance(cell, Markup) else plain(cell)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flatten(value: Mapping[str, JsonValue], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, dict) and inner:
            yield from _flatten(inner, f"{path} / ")
        elif isinstance(inner, list):
            yield path, ", ".join(plain(item) for item in inner) or "none"
        else:
            yield path, plain(inner)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("slipway.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
