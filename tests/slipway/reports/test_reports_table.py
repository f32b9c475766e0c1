import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from slipway.reports import Bar, Broken, Report, Scan, Verdict, exit_code, table

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def report(name, *bars, verdict):
    return Report(name=name, started=NOW, seconds=1, bars=bars, verdict=verdict)


GOOD = report("good", Bar.at_most("failed", 0, 0), verdict=Verdict.PASS)
BAD = report("bad", Bar.at_most("failed [x]", 7, 0), verdict=Verdict.FAIL)
OPEN = report("open", Bar.not_run("reload", "0"), verdict=Verdict.INCONCLUSIVE)
EMPTY = report("empty", verdict=Verdict.INCONCLUSIVE)
BROKEN = Broken(Path("x/torn.json"), "report x/torn.json is not valid: Invalid JSON")


def shown(found, **options):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table(found, **options))
    return console.export_text()


def test_every_bar_shows_even_those_not_run_and_broken_files():
    text = shown(Scan((GOOD, BAD, OPEN, EMPTY), (BROKEN,)))
    for part in (
        "good",
        "pass",
        "failed [x]",
        "fails",
        "reload",
        "not run",
        "inconclusive",
        "no bars",
        "torn.json",
        "Invalid JSON",
    ):
        assert part in text


def test_the_short_form_has_a_row_a_report():
    text = shown(Scan((GOOD, OPEN), (BROKEN,)), bars=False)
    assert "reload" not in text
    assert "torn.json" in text


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Scan((GOOD,), ()), 0),
        (Scan((GOOD, OPEN), ()), 3),
        (Scan((GOOD, OPEN, BAD), ()), 1),
        (Scan((GOOD,), (BROKEN,)), 1),
        (Scan((), ()), 3),
    ],
)
def test_exit_codes_of_the_list(found, code):
    assert exit_code(found) == code
