"""From k6's exit code and summary to one of four answers. Pure: no process, no file, no clock."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from loadtests.plan import FOLLOWING, MIXED, LoadPlan

MIN_UNCACHED_SHARE: Final = 0.30
MIN_KEYED_SHARE: Final = 0.20
_MIX_FROM: Final = 200  # requests; below, rounding of the mix says nothing
_KEPT_UP: Final = 0.98  # of the planned requests
_KEPT_UP_STAGES: Final = 0.90  # where the rate changes, each stage rounds its share down

_THRESHOLDS_FAILED: Final = 99
_INTERRUPTED: Final = 105
_JUDGED: Final = {0, _THRESHOLDS_FAILED, 110}
_ABORTED: Final = {103: "stopped by its control server", 105: "interrupted", 108: "test.abort() in the script"}
_TOOLING: Final = {
    97: "cloud run failed",
    98: "cloud progress failed",
    100: "setup took too long",
    101: "teardown took too long",
    102: "took too long",
    104: "invalid options",
    106: "control server could not start",
    107: "exception in the script",
    109: "k6 crashed",
}


class ExitClass(StrEnum):
    """What a run says about the service."""

    PASS = "pass"  # noqa: S105 -- the word is an answer here, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ABORTED = "aborted"

    @property
    def exit_code(self) -> int:
        """Exit code of `slipway loadtest run`; 2 is wrong usage, as everywhere."""
        return {"pass": 0, "fail": 1, "inconclusive": 3, "aborted": 4}[self.value]


class SummaryError(ValueError):
    """The summary is not what main.js writes."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Work behind requests that was ordered and fetched: how often, and milliseconds from the order to the file."""

    count: int
    p50: float
    p95: float
    p99: float
    slowest: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of one run, by columns.

    Attributes:
        started: requests begun; `started - requests` were cut off by the end of the run.
        requests: requests with an answer or an error.
        failed: reads and writes with a key that failed, without the dropped ones.
        dropped: iterations that k6 had no free connection for.
        resent: part of `failed`: the HTTP library sent it twice.
        unkeyed_failed: failed writes without a key, in no other column.
        allowed: 503 that the plan allows, in no other column.
        p50, p95, p99, slowest: milliseconds over all requests; None if there were none.
        statuses: HTTP status (`0`: no answer) -> requests; only those that occurred.
        broken_thresholds: those that k6 itself found broken.
        seconds: of the whole run, with setup.
        finished: of scenario `async`; None if nothing was.
    """

    started: int
    requests: int
    failed: int
    dropped: int
    resent: int
    unkeyed_failed: int
    allowed: int
    uncached_reads: int
    cached_reads: int
    keyed_writes: int
    unkeyed_writes: int
    p50: float | None
    p95: float | None
    p99: float | None
    slowest: float | None
    statuses: Mapping[str, int]
    broken_thresholds: tuple[str, ...]
    seconds: float
    finished: Finished | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer and every reason for it; a pass has none."""

    exit_class: ExitClass
    reasons: tuple[str, ...] = ()


def parse_summary(text: str) -> Summary:
    """Read what `handleSummary` in main.js wrote.

    Raises:
        SummaryError: it is not JSON of schema 1.
    """
    try:
        return _summary(json.loads(text))
    except SummaryError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SummaryError(f"summary is not readable: {type(error).__name__}: {error}") from error


def _summary(document: Any) -> Summary:
    if document["schema"] != 1:
        raise SummaryError(f"summary has schema {document['schema']!r}; this reads 1")
    metrics: dict[str, dict[str, Any]] = document["metrics"]
    latency = metrics.get("slipway_ms", {}).get("values", {})
    answered = _count(metrics, "slipway_requests") > 0
    prefix = "slipway_status_"
    return Summary(
        started=_count(metrics, "slipway_started"),
        requests=_count(metrics, "slipway_requests"),
        failed=_count(metrics, "slipway_failed"),
        dropped=_count(metrics, "dropped_iterations"),
        resent=_count(metrics, "slipway_resent"),
        unkeyed_failed=_count(metrics, "slipway_unkeyed_failed"),
        allowed=_count(metrics, "slipway_allowed"),
        uncached_reads=_count(metrics, "slipway_uncached_reads"),
        cached_reads=_count(metrics, "slipway_cached_reads"),
        keyed_writes=_count(metrics, "slipway_keyed_writes"),
        unkeyed_writes=_count(metrics, "slipway_unkeyed_writes"),
        p50=float(latency["med"]) if answered else None,
        p95=float(latency["p(95)"]) if answered else None,
        p99=float(latency["p(99)"]) if answered else None,
        slowest=float(latency["max"]) if answered else None,
        statuses={
            name.removeprefix(prefix): _count(metrics, name)
            for name in sorted(metrics)
            if name.startswith(prefix) and _count(metrics, name)
        },
        broken_thresholds=tuple(
            f"{name} {expression}"
            for name in sorted(metrics)
            for expression, held in metrics[name]["thresholds"].items()
            if not held
        ),
        seconds=float(document["milliseconds"]) / 1000,
        finished=_finished(metrics),
    )


def _finished(metrics: Mapping[str, Mapping[str, Any]]) -> Finished | None:
    count = _count(metrics, "slipway_finished")
    if not count:
        return None
    took = metrics["slipway_finished_ms"]["values"]
    return Finished(count, *(float(took[name]) for name in ("med", "p(95)", "p(99)", "max")))


def faults(summary: Summary, plan: LoadPlan, *, finished_early: bool = False) -> tuple[str, ...]:
    """Every way in which the counts break the definition of a good run."""
    found: list[str] = []
    if summary.failed:
        found.append(f"{summary.failed} of {summary.requests} requests failed")
    if summary.dropped:
        found.append(f"{summary.dropped} requests were dropped: {plan.vus} connections were all busy")
    if summary.requests < plan.min_requests:
        found.append(f"{summary.requests} requests were made, at least {plan.min_requests} are needed")
    finished = summary.finished.count if summary.finished else 0
    if plan.scenario == FOLLOWING and finished < plan.min_requests:
        found.append(f"{finished} exports were fetched, at least {plan.min_requests} are needed")
    if summary.unkeyed_failed and not plan.unkeyed_apart:
        found.append(f"{summary.unkeyed_failed} of {summary.unkeyed_writes} writes without a key failed")
    cut_off = summary.started - summary.requests
    if cut_off and not finished_early and not plan.stop_on_failure:
        found.append(f"{cut_off} requests had no answer when the run ended")
    return tuple(found)


def classify(
    exit_code: int,
    summary: Summary | None,
    plan: LoadPlan,
    *,
    finished_early: bool = False,
    killed: bool = False,
) -> Judgement:
    """The answer of a run.

    Args:
        exit_code: of k6; negative for a signal.
        summary: None if k6 left none that can be read.
        plan: what was asked.
        finished_early: the caller ended the run on purpose with `Run.finish`, so an interrupt is no abort.
        killed: the deadline passed and k6 was killed.

    Returns:
        `FAIL` only on evidence against the service. A fault of the tool is `INCONCLUSIVE`: it neither promotes a
        version nor blames it. A run that someone stopped is `ABORTED`.
    """
    if killed:
        return _open(f"k6 did not end within {plan.deadline:g} s and was killed")
    if exit_code in _ABORTED and not (exit_code == _INTERRUPTED and finished_early):
        return Judgement(ExitClass.ABORTED, (f"k6 was {_ABORTED[exit_code]} (exit code {exit_code})",))
    if exit_code not in _JUDGED and exit_code != _INTERRUPTED:
        cause = f"signal {-exit_code}" if exit_code < 0 else _TOOLING.get(exit_code, "unknown")
        return _open(f"k6 ended with exit code {exit_code} ({cause}); see its log")
    if summary is None:
        return _open(f"k6 ended with exit code {exit_code} and left no summary")
    if found := faults(summary, plan, finished_early=finished_early):
        return Judgement(ExitClass.FAIL, found)
    return _trust(exit_code, summary, plan, finished_early=finished_early)


def _trust(exit_code: int, summary: Summary, plan: LoadPlan, *, finished_early: bool) -> Judgement:
    """Nothing failed; but does k6 agree, and was it the load that was asked for?"""
    if exit_code not in {0, _INTERRUPTED}:
        broken = ", ".join(summary.broken_thresholds) or "none"
        return _open(f"k6 says failed (exit code {exit_code}, thresholds broken: {broken}), its counts say passed")
    if not finished_early and summary.started + summary.dropped < _kept_up(plan) * plan.planned:
        return _open(f"k6 began {summary.started} of {plan.planned} planned requests; it did not keep up")
    if summary.requests >= _MIX_FROM and plan.scenario in MIXED:
        uncached, keyed = summary.uncached_reads / summary.requests, summary.keyed_writes / summary.requests
        if uncached < MIN_UNCACHED_SHARE or keyed < MIN_KEYED_SHARE:
            return _open(
                f"the mix was {uncached:.0%} uncached reads (at least {MIN_UNCACHED_SHARE:.0%}) and {keyed:.0%} writes "
                f"with a key (at least {MIN_KEYED_SHARE:.0%})"
            )
    return Judgement(ExitClass.PASS)


def _kept_up(plan: LoadPlan) -> float:
    return _KEPT_UP if plan.shape.flat else _KEPT_UP_STAGES


def _open(reason: str) -> Judgement:
    return Judgement(ExitClass.INCONCLUSIVE, (reason,))


def _count(metrics: Mapping[str, Mapping[str, Any]], name: str) -> int:
    # A counter that was never added to is absent, and that is a true zero: every counter here is made by our script.
    return int(metrics.get(name, {}).get("values", {}).get("count", 0))
