"""The report of a comparison: its bars, a table of both runs, and both drawn over each other."""

from datetime import datetime

from pydantic import JsonValue

from loadtests.compare import PERCENTILES, answered, bars, failed_share, latencies
from loadtests.written import Written
from slipway.reports import Report, Section, derive, rows
from slipway.reports.plots import PALETTE, Line, Panel, Plot, draw

COLUMNS = ("", "A", "B", "B / A")


def report(first: Written, second: Written, *, started: datetime, seconds: float) -> Report:
    """The report `loadtest-compare`."""
    known = bars(first, second)
    figures: dict[str, JsonValue] = {"A": first.name, "B": second.name}
    figures |= {f"{it.name} is": it.change.value for it in latencies(first, second)}
    return Report(
        name="loadtest-compare",
        started=started,
        seconds=seconds,
        figures=figures,
        bars=known,
        verdict=derive(known),
    )


def table(first: Written, second: Written) -> list[tuple[str, float | None, float | None, str]]:
    """Figure by figure: of A, of B, and B as a part of A."""
    values: list[tuple[str, float | None, float | None]] = [
        ("requests", first.summary.requests, second.summary.requests),
        ("answered well", answered(first), answered(second)),
        ("failed %", round(100 * failed_share(first), 3), round(100 * failed_share(second), 3)),
        ("dropped", first.summary.dropped, second.summary.dropped),
    ]
    values += [
        (f"{it.name} ms, median second", _rounded(it.first), _rounded(it.second)) for it in latencies(first, second)
    ]
    values.append(("slowest ms", _rounded(first.summary.slowest), _rounded(second.summary.slowest)))
    return [(name, a, b, f"{b / a:.2f}" if a and b is not None else "") for name, a, b in values]


def sections(first: Written, second: Written) -> tuple[Section, ...]:
    """The table, then both runs over each other."""
    about = f"A is {first.name}, B is {second.name}; latencies are medians over the seconds of a run."
    tabled = Section("Both runs", rows(COLUMNS, table(first, second)), about)
    if not first.timeline or not second.timeline:
        return (tabled, Section("Over time", "<p>one of the runs has no seconds</p>"))
    note = "Each point is one second, counted from the first answer of each run."
    return (tabled, Section("Over time", draw(_plot(first, second)), note))


def _plot(first: Written, second: Written) -> Plot:
    runs = (("A", first, PALETTE[5]), ("B", second, PALETTE[0]))
    when = {name: [float(it.at - run.timeline[0].at) for it in run.timeline] for name, run, _ in runs}
    panels = [
        Panel(
            "Requests",
            "per second",
            [Line(name, when[name], [float(it.requests) for it in run.timeline], colour) for name, run, colour in runs],
        ),
        Panel(
            "Failed or dropped",
            "per second",
            [
                Line(
                    name,
                    when[name],
                    [float(it.failed + it.unkeyed_failed + it.dropped) for it in run.timeline],
                    colour,
                )
                for name, run, colour in runs
            ],
        ),
    ]
    panels += [
        Panel(
            f"Latency, {percentile}",
            "ms",
            [Line(name, when[name], [of(it) for it in run.timeline], colour) for name, run, colour in runs],
            floor=5.0,
        )
        for percentile, of in PERCENTILES.items()
    ]
    return Plot(panels, x_label="seconds since the first answer")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
