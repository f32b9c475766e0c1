"""The report of a load run: its bars, and plots of rate, latency and statuses over time."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from loadtests.k6 import LoadResult
from loadtests.plan import FOLLOWING, LoadPlan
from loadtests.stream import Failure, Second
from loadtests.verdict import ExitClass, Finished
from slipway.reports import Bar, Report, Section, Verdict, derive, rows
from slipway.reports.plots import FAILED, PALETTE, Line, Panel, Plot, Span, draw

_STATUS_COLOURS = {"2": PALETTE[3], "3": PALETTE[4], "4": PALETTE[1], "5": FAILED, "0": "#a05ab8"}


def bars(plan: LoadPlan, result: LoadResult) -> tuple[Bar, ...]:
    """The bars of a run; without a judgement of k6 none of them has an answer."""
    wanted = {"requests": f">= {plan.min_requests:,}", "failed": "0"}
    if result.exit_class in {ExitClass.INCONCLUSIVE, ExitClass.ABORTED}:
        why = "; ".join(result.reasons)
        return tuple(Bar.not_run(what, bar, why) for what, bar in wanted.items())
    found = [
        Bar(
            what="requests",
            measured=result.requests,
            bar=wanted["requests"],
            holds=result.requests >= plan.min_requests,
        ),
        Bar(what="failed", measured=result.failed, bar=wanted["failed"], holds=result.failed == 0),
    ]
    if not plan.unkeyed_apart:
        found.append(Bar.exactly("failed writes without a key", result.unkeyed_failed, 0))
    if plan.scenario == FOLLOWING:
        files = result.finished.count if result.finished else 0
        least = plan.min_requests
        found.append(Bar(what="exports fetched", measured=files, bar=f">= {least:,}", holds=files >= least))
    if result.exit_class is ExitClass.FAIL and all(bar.holds for bar in found):
        found.append(Bar(what="every request answered", measured="; ".join(result.reasons), bar="yes", holds=False))
    return tuple(found)


def report(plan: LoadPlan, result: LoadResult, *, name: str | None = None) -> Report:
    """The report of one run, by default under the name `loadtest-<scenario>`."""
    known = bars(plan, result)
    verdict = derive(known)
    return Report(
        name=name or f"loadtest-{plan.scenario}",
        started=result.started,
        seconds=result.seconds,
        figures={
            "requests": result.requests,
            "failed": result.failed,
            "dropped (part of failed)": result.dropped,
            "sent twice by the library (part of failed)": result.resent,
            "failed without a key (apart)": result.unkeyed_failed,
            "allowed 503 (apart)": result.allowed,
            "cut off at the end": result.cut_off,
            "rate": {"wanted per s": plan.rate, "achieved per s": _rounded(result.rate_achieved)},
            "latency ms": {"p50": _rounded(result.p50), "p95": _rounded(result.p95), "p99": _rounded(result.p99)},
            **_files(result.finished),
            "statuses": dict(result.statuses),
            "shares %": {kind: round(100 * share, 1) for kind, share in result.shares.items()},
            "protocol": plan.protocol,
            "connections": plan.vus,
            "run": result.run_id,
        },
        bars=known,
        verdict=verdict if result.exit_class is ExitClass.PASS or verdict is Verdict.FAIL else Verdict.INCONCLUSIVE,
    )


def sections(result: LoadResult, spans: Sequence[Span] = ()) -> tuple[Section, ...]:
    """Plots of the run, then what failed and why; a run without a timeline says so."""
    found: list[Section] = []
    if result.reasons:
        found.append(Section("Why", rows(["reason"], [[reason] for reason in result.reasons])))
    if result.timeline:
        start = result.timeline[0].at
        begun = datetime.fromtimestamp(start, UTC).strftime("%H:%M:%S UTC")
        note = f"Each point is one second, by the time requests ended; second 0 is {begun}."
        found.append(Section("Over time", draw(plot(result.timeline, spans)), note))
    else:
        found.append(Section("Over time", "<p>not recorded</p>"))
    if result.failure_reasons:
        found.append(
            Section(
                "Failures by reason", rows(["column: operation: reason", "requests"], result.failure_reasons.items())
            )
        )
    if result.failures:
        lines = [[_clock(one), one.operation, one.code, one.outcome, one.reason] for one in result.failures]
        title = f"The first {len(lines)} failures"
        found.append(Section(title, rows(["time (UTC)", "operation", "status", "column", "reason"], lines)))
    return tuple(found)


def plot(timeline: Sequence[Second], spans: Sequence[Span] = ()) -> Plot:
    """Rate, latency percentiles and statuses of the seconds, x in seconds since the first."""
    x = [float(second.at - timeline[0].at) for second in timeline]
    found = {status for second in timeline for status in second.statuses}
    statuses = sorted(found, key=lambda status: (status == "0", status))  # what had no answer lies on top
    bad = [float(second.failed + second.unkeyed_failed + second.dropped) for second in timeline]
    return Plot(
        [
            Panel(
                "Requests",
                "per second",
                [
                    Line("answered", x, [float(s.requests) for s in timeline], filled=True),
                    Line("failed", x, bad, FAILED),
                ],
            ),
            Panel(
                "Latency",
                "ms",
                [
                    Line("p50", x, [s.p50 for s in timeline], PALETTE[3]),
                    Line("p95", x, [s.p95 for s in timeline], PALETTE[1]),
                    Line("p99", x, [s.p99 for s in timeline], PALETTE[2]),
                ],
                floor=5.0,
            ),
            Panel(
                "Statuses",
                "per second",
                [
                    Line(
                        "no answer" if status == "0" else status,
                        x,
                        [float(s.statuses.get(status, 0)) for s in timeline],
                        _shade(status, statuses),
                    )
                    for status in statuses
                ],
                stacked=True,
            ),
        ],
        tuple(spans),
        x_label="seconds since the first answer",
    )


def _shade(status: str, statuses: Sequence[str]) -> str:
    """The colour of a status: one hue for each class, lighter for each further status of it."""
    base = _STATUS_COLOURS.get(status[:1], PALETTE[5])
    place = [other for other in statuses if other[:1] == status[:1]].index(status)
    share = min(0.6, 0.28 * place)
    parts = [int(base[index : index + 2], 16) for index in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


def _clock(failure: Failure) -> str:
    return datetime.fromtimestamp(failure.at, UTC).strftime("%H:%M:%S.%f")[:-3]


def _files(finished: Finished | None) -> dict[str, JsonValue]:
    if finished is None:
        return {}
    names = ("p50", "p95", "p99", "slowest")
    return {"from order to file ms": {name: round(getattr(finished, name), 2) for name in names}}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
