"""The report of a capacity: what each pod and core bears, the curve with its knee, figures for the autoscaler."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from loadtests.capacity import Advice, Level, bad_before, knee, levels, saturated
from loadtests.written import Written
from slipway.reports import Bar, Report, Section, derive, rows
from slipway.reports.plots import FAILED, PALETTE, Line, Panel, Plot, Span, draw


def report(
    run: Written, advice: Advice | None, *, pods: int, cores: float, started: datetime, seconds: float
) -> Report:
    """The report `loadtest-capacity`; without a knee it is inconclusive, and says what was borne at least."""
    curve = levels(run.timeline)
    at = knee(curve)
    known = _bars(curve, at)
    borne = at.good if at else max((it.good for it in curve), default=0.0)
    figures: dict[str, JsonValue] = {
        "requests per s at the knee" if at else "requests per s, at least": round(borne, 1),
        "per pod": round(borne / pods, 1),
        "per core": round(borne / pods / cores, 1),
        "p95 at the knee ms": None if at is None or at.p95 is None else round(at.p95, 2),
        "pods": pods,
        "cores per pod": cores,
        "scenario": str(run.plan["scenario"]),
        "run": run.name,
    }
    if advice is not None:
        figures["HorizontalPodAutoscaler"] = {
            "requests per s and pod": round(advice.per_pod, 1),
            "CPU averageUtilization %": advice.utilization,
            "minReplicas": advice.min_replicas,
            "maxReplicas": advice.max_replicas,
        }
    return Report(
        name="loadtest-capacity",
        started=started,
        seconds=seconds,
        figures=figures,
        bars=known,
        verdict=derive(known),
    )


def sections(run: Written) -> tuple[Section, ...]:
    """The curve, and the levels that it is made of."""
    curve = levels(run.timeline)
    if not curve:
        return (Section("Curve", "<p>the run has no seconds</p>"),)
    columns = ("offered per s", "answered well per s", "failed or dropped per s", "p95 ms", "seconds")
    table = [
        (round(it.offered, 1), round(it.good, 1), round(it.bad, 1), it.p95 and round(it.p95, 1), it.seconds)
        for it in curve
    ]
    note = "Left of the knee each further request is answered; right of it each further request only waits."
    return (Section("Curve", draw(_plot(curve, knee(curve))), note), Section("Levels", rows(columns, table)))


def _bars(curve: Sequence[Level], at: Level | None) -> tuple[Bar, ...]:
    wanted = {"the service was saturated": "yes", "failed or dropped below the knee": "0"}
    if at is None:
        why = "the rate did not go high enough" if curve and not saturated(curve) else "nothing was answered"
        return tuple(Bar.not_run(what, bar, why) for what, bar in wanted.items())
    return (
        Bar(what="the service was saturated", measured=True, bar="yes", holds=True),
        Bar.exactly("failed or dropped below the knee", round(bad_before(curve, at)), 0),
    )


def _plot(curve: Sequence[Level], at: Level | None) -> Plot:
    offered = [it.offered for it in curve]
    return Plot(
        [
            Panel(
                "Answered well",
                "per second",
                [
                    Line("answered", offered, [it.good for it in curve], PALETTE[0]),
                    Line("offered", offered, offered, PALETTE[5]),
                    Line("failed or dropped", offered, [it.bad for it in curve], FAILED),
                ],
            ),
            Panel("Latency", "ms", [Line("p95", offered, [it.p95 for it in curve], PALETTE[1])], floor=5.0),
        ],
        () if at is None else (Span("knee", at.offered, at.offered),),
        x_label="offered requests per second",
    )
