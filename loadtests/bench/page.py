"""The report `bench-app`: each comparison with its spread, each server with rate, CPU and latency, rounds as lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from pydantic import JsonValue

from loadtests.bench.figures import Comparison, Shootings, bars, doubt, ratios, spread
from slipway.reports import Report, Section, derive, rows
from slipway.reports.plots import PALETTE, Line, Panel, Plot, draw


def report(
    found: Shootings,
    comparisons: Sequence[Comparison],
    *,
    set_up: Mapping[str, JsonValue],
    budget: Mapping[str, float],
    started: datetime,
    seconds: float,
) -> Report:
    """The report.

    Args:
        found: all shots.
        comparisons: what is judged.
        set_up: how it was measured, and with what switched on.
        budget: layer around a request -> microseconds that it adds, in one thread.
        started: when.
        seconds: how long it took.
    """
    known = bars(found, comparisons)
    figures: dict[str, JsonValue] = {
        "requests per s": {_name(who): round(median(it.shot.rate for it in shots)) for who, shots in found.items()},
        "CPU ms for 1,000 requests": {
            _name(who): round(median(it.cpu_ms for it in shots)) for who, shots in found.items()
        },
        "ratio of rates": {
            it.what: {"median": round(made.middle, 3), "least": round(made.least, 3), "most": round(made.most, 3)}
            for it in comparisons
            for made in [ratios(found, it)]
        },
        "adds to a request, microseconds": {layer: round(cost, 1) for layer, cost in budget.items()},
        "set-up": dict(set_up),
    }
    return Report(
        name="bench-app", started=started, seconds=round(seconds, 1), figures=figures, bars=known, verdict=derive(known)
    )


def sections(
    found: Shootings, comparisons: Sequence[Comparison], budget: Mapping[str, float]
) -> tuple[Section, Section, Section, Section]:
    """What the page shows besides the figures."""
    return (
        Section("Comparisons", _comparisons(found, comparisons), "Each ratio is of rates from the same round."),
        Section("Servers", _servers(found), "Medians of the rounds; CPU is of the server with its workers."),
        Section("Rounds", draw(_plot(found)), "Requests per second in each round; the servers take turns."),
        Section(
            "What each layer adds",
            rows(("layer", "adds, microseconds"), [(layer, round(cost, 1)) for layer, cost in budget.items()]),
            "One thread calls the application without a server; each line is the one before with one layer more.",
        ),
    )


def _comparisons(found: Shootings, comparisons: Sequence[Comparison]) -> str:
    return rows(
        ("what", "median (least to most)", "bar", "aim", "in doubt"),
        [(it.what, str(ratios(found, it)), it.least, it.aim, doubt(found, it) or "no") for it in comparisons],
    )


def _servers(found: Shootings) -> str:
    return rows(
        ("server", "request", "requests per s (least to most)", "CPU ms for 1,000", "p50 ms", "p99 ms"),
        [
            (
                *who,
                f"{rate.middle:,.0f} ({rate.least:,.0f} to {rate.most:,.0f})",
                round(median(it.cpu_ms for it in shots)),
                round(median(it.shot.p50_ms for it in shots), 1),
                round(median(it.shot.p99_ms for it in shots), 1),
            )
            for who, shots in found.items()
            for rate in [spread([it.shot.rate for it in shots])]
        ],
    )


def _plot(found: Shootings) -> Plot:
    servers = list(dict.fromkeys(server for server, _ in found))
    kinds = list(dict.fromkeys(kind for _, kind in found))
    panels = [
        Panel(
            title=kind,
            unit="requests/s",
            lines=[
                Line(
                    label=server,
                    x=list(range(1, len(found[server, kind]) + 1)),
                    y=[it.shot.rate for it in found[server, kind]],
                    colour=PALETTE[servers.index(server)],
                )
                for server in servers
                if (server, kind) in found
            ],
        )
        for kind in kinds
    ]
    return Plot(panels=panels, x_label="round")


def _name(who: tuple[str, str]) -> str:
    return f"{who[0]}, {who[1]}"
