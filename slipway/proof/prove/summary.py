"""The proof as a whole: a row for each scenario, the table of kills, and the verdict. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from slipway.proof.bars import CONTROL_PREFIX
from slipway.proof.prove.journal import Entry
from slipway.proof.prove.plays import MOMENTS
from slipway.proof.prove.scenarios import SCENARIOS, VICTIMS, Form, Scenario
from slipway.reports import NOT_RUN, Bar, Report, Section, Verdict, derive, rows

_ALL_HOLD: Final = "all bars hold"
_SIGNS: Final = {True: "\N{CHECK MARK}", False: "\N{BALLOT X}", None: "?"}


@dataclass(frozen=True)
class Row:
    """A scenario and what it found; None: it did not run."""

    scenario: Scenario
    entry: Entry | None

    @property
    def holds(self) -> bool | None:
        """Whether all its bars hold; None while one has no answer."""
        answers = [] if self.entry is None else [bar.holds for bar in self.entry.bars]
        if False in answers:
            return False
        return None if not answers or None in answers else True

    @property
    def said(self) -> str:
        """What it found, in few words."""
        if self.entry is None:
            return NOT_RUN
        numbers = self.entry.figures
        text = f"{_number(numbers.get('failed'))} failed of {_number(numbers.get('requests'))}, {numbers.get('ended')}"
        wrong = [f"{bar.what}: {bar.measured}" for bar in self.entry.bars if bar.holds is not True]
        return "; ".join([text, *wrong])


def summary(found: Sequence[Row], subject: str, form: Form) -> Report:
    """The report of the whole proof. What its form leaves out stands there as not run, and does not weigh."""
    played = {row.scenario.name for row in found}
    left_out = [Row(scenario, None) for name, scenario in SCENARIOS.items() if name not in played]
    bars = [_bar(row) for row in (*found, *left_out)]
    optional = [_what(row.scenario) for row in left_out]
    controls = [row for row in found if row.scenario.rules.control]
    verdict = derive(bars, optional=optional)
    if verdict is Verdict.PASS and not any(row.holds for row in controls):
        verdict = Verdict.INCONCLUSIVE
    entries = [row.entry for row in found if row.entry is not None]
    return Report(
        name="prove",
        started=min((entry.started for entry in entries), default=datetime.now(UTC)),
        seconds=sum(entry.seconds for entry in entries),
        figures={
            "subject": subject,
            "form": form.name.lower(),
            "scenarios that ran": len(entries),
            "requests": sum(_whole(entry.figures.get("requests")) for entry in entries),
            "failed where none may": sum(_unallowed(row) for row in found),
        },
        bars=tuple(bars),
        verdict=verdict,
    )


def summary_sections(found: Sequence[Row]) -> tuple[Section, ...]:
    """The tables of the page."""
    named = [row for row in found if row.scenario.cell is None]
    cells = {row.scenario.cell: row for row in found if row.scenario.cell is not None}
    return (
        Section("Scenarios", _named(named), "Each under load from beginning to end; the name leads to its own page."),
        Section("Kill -9, pairwise", _matrix(cells), "What was killed, and when: failed of all requests. A cell leads "
                "to its own page."),
    )  # fmt: skip


def _named(found: Sequence[Row]) -> str:
    columns = (
        "",
        "scenario",
        "what happens",
        "times",
        "requests",
        "failed",
        "without a key",
        "p99, ms",
        "weights back, s",
        "ended",
    )
    names = (
        "rounds",
        "requests",
        "failed",
        "failed without a key",
        "p99 ms",
        "slowest return of the weights, s",
        "ended",
    )
    values = [
        (
            _SIGNS[row.holds] if row.entry else "",
            _link(row),
            row.scenario.about,
            *(("-" if row.entry.figures.get(name) is None else row.entry.figures[name]) for name in names),
        )
        if row.entry
        else ("", row.scenario.name, row.scenario.about, *([NOT_RUN] + ["-"] * (len(names) - 1)))
        for row in found
    ]
    return rows(columns, values)


def _matrix(cells: Mapping[tuple[str, str], Row]) -> str:
    table = [(words, *(_cell(cells.get((victim, moment))) for moment in MOMENTS)) for victim, words in VICTIMS.items()]
    return rows(("killed", *MOMENTS), table)


def _cell(row: Row | None) -> str:
    if row is None or row.entry is None:
        return NOT_RUN
    numbers = row.entry.figures
    text = f"{_SIGNS[row.holds]} {_number(numbers.get('failed'))} of {_number(numbers.get('requests'))}"
    return Markup('<a href="{}">{}</a>').format(row.entry.page, text)


def _link(row: Row) -> str:
    assert row.entry is not None  # noqa: S101 -- asked by the caller
    return Markup('<a href="{}">{}</a>').format(row.entry.page, row.scenario.name)


def _what(scenario: Scenario) -> str:
    return f"{CONTROL_PREFIX if scenario.rules.control else ''}{scenario.name}"


def _bar(row: Row) -> Bar:
    return Bar(what=_what(row.scenario), measured=row.said, bar=_ALL_HOLD, holds=row.holds)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _unallowed(row: Row) -> int:
    if row.entry is None or row.scenario.rules.control or row.scenario.rules.bad or row.scenario.rules.in_flight:
        return 0
    return _whole(row.entry.figures.get("failed"))
