"""What a bench of the ingress found, as figures of its report and sections of its page."""

from collections.abc import Mapping, Sequence
from statistics import median

from pydantic import JsonValue

from slipway.proof.ingress_rounds import CONNECTIONS, Even, Full, Round, Route
from slipway.reports import Section, rows
from slipway.reports.plots import PALETTE, Line, Panel, Plot, Span, draw


def figures(
    taken: Sequence[Round], control: Round, *, bears: float, even: int, cpu_limit: float
) -> dict[str, JsonValue]:
    """Medians and spread, for the report."""
    found: dict[str, JsonValue] = {
        "rounds": len(taken),
        "CPU limit of the pod, cores": cpu_limit,
        "the pod bears, per s": round(bears, 1),
        "even rate, per s": even,
        "connections of a full run": CONNECTIONS,
        "share of each round": [round(it.share, 3) for it in taken],
        "p99 added in each round, ms": [round(it.added, 2) for it in taken],
        "control": {"share": round(control.share, 3), "p99 added, ms": round(control.added, 2)},
    }
    for route in Route:
        found[route.value] = {
            "requests per s": _spread([it.full[route].per_second for it in taken]),
            "CPU used of the limit": _spread([it.full[route].cpu for it in taken]),
            "p50 ms": _spread([it.even[route].p50 for it in taken]),
            "p99 ms": _spread([it.even[route].p99 for it in taken]),
            "failed": sum(it.full[route].failed + it.even[route].failed for it in taken),
        }
    return found


def sections(taken: Sequence[Round], control: Round) -> tuple[Section, ...]:
    """Both kinds of runs over time, then every round as a table."""
    columns = ("round", "route", "requests per s", "CPU of limit", "p50 ms", "p99 ms", "failed")
    named = [*((str(number + 1), it) for number, it in enumerate(taken)), ("control", control)]
    table = [
        (
            name,
            route.value,
            round(it.full[route].per_second, 1),
            round(it.full[route].cpu, 2),
            round(it.even[route].p50, 2),
            round(it.even[route].p99, 2),
            it.full[route].failed + it.even[route].failed,
        )
        for name, it in named
        for route in Route
    ]
    note = "Each point is one second; runs stand one after the other, without the pauses between them."
    return (
        Section("As much as the connections bear", draw(_plot([it.full for _, it in named], "requests")), note),
        Section("At half of what the pod bears", draw(_plot([it.even for _, it in named], "p99")), note),
        Section("Rounds", rows(columns, table)),
    )


def _plot(runs: Sequence[Mapping[Route, Full] | Mapping[Route, Even]], what: str) -> Plot:
    """Seconds of all runs in a row, each route a line with gaps where the other was asked."""
    values: dict[Route, list[float | None]] = {route: [] for route in Route}
    spans: list[Span] = []
    for number, it in enumerate(runs):
        name = "control" if number == len(runs) - 1 else str(number + 1)
        at = float(len(values[Route.DIRECT]))
        spans.append(Span(name, at, at))
        for run in it.values():
            for second in run.timeline[1:-1]:
                for route in Route:
                    value = float(second.requests - second.failed) if what == "requests" else second.p99
                    values[route].append(value if route is run.route else None)
    x = [float(index) for index in range(len(values[Route.DIRECT]))]
    colours = {Route.DIRECT: PALETTE[5], Route.INGRESS: PALETTE[0]}
    lines = [Line(route.value, x, values[route], colours[route]) for route in Route]
    titled = ("Answered well", "per second") if what == "requests" else ("Latency, p99 of each second", "ms")
    return Plot([Panel(*titled, lines)], tuple(spans), x_label="seconds of load")


def _spread(values: Sequence[float]) -> dict[str, JsonValue]:
    return {"median": round(median(values), 3), "least": round(min(values), 3), "most": round(max(values), 3)}
