"""Judging a version: measurements in, one of three verdicts out. Pure; the asking is done in `measure.py`.

A measurement passes, fails, is inconclusive (too few requests, an empty or not-a-number answer) or is an error (the
source did not answer properly). A step passes only when every metric has passed its count. Missing knowledge never
passes and never blames the version: it ends as inconclusive, and the rollout pauses.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from slipway.rollout.spec import Metric
from slipway.rollout.status import MetricState, Verdict

OPEN: Final = frozenset({Verdict.RUNNING, Verdict.PASS})
"""Verdicts that a further measurement may change."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One answer about one metric.

    Attributes:
        value: of the candidate, in the metric's own unit; None when there was no number.
        stable_value: of the stable colour, for deltas.
        samples: number of the candidate's requests behind the value; None when unknown.
        error: why the source gave no proper answer; empty when it did.
        conclusion: the verdict itself, where the source judges (a Job).
    """

    value: float | None = None
    stable_value: float | None = None
    samples: float | None = None
    error: str = ""
    conclusion: Verdict | None = None


def _usable(number: float | None) -> bool:
    return number is not None and math.isfinite(number)


def judge(metric: Metric, measurement: Measurement) -> tuple[Verdict, str]:  # noqa: PLR0911 - one line for each rule
    """Return the verdict on one measurement, and the reason in words with the numbers."""
    if measurement.error:
        return Verdict.ERROR, measurement.error
    if measurement.conclusion is not None:
        return measurement.conclusion, f"the check says {measurement.conclusion}"
    value, stable, samples = measurement.value, measurement.stable_value, measurement.samples
    if metric.min_samples > 0 and not (_usable(samples) and samples is not None and samples >= metric.min_samples):
        return Verdict.INCONCLUSIVE, f"{_number(samples)} samples, {metric.min_samples} are needed"
    if value is None or not _usable(value):
        return Verdict.INCONCLUSIVE, "no number came back"
    if metric.maximum is not None and value > metric.maximum:
        return Verdict.FAIL, f"{_number(value)} is above {_number(metric.maximum)}"
    if metric.minimum is not None and value < metric.minimum:
        return Verdict.FAIL, f"{_number(value)} is below {_number(metric.minimum)}"
    if metric.maximum_delta is not None:
        if stable is None or not _usable(stable):
            return Verdict.INCONCLUSIVE, "no number came back for the stable version to compare with"
        if value - stable > metric.maximum_delta:
            excess = f"{_number(value)} is {_number(value - stable)} above the stable version's {_number(stable)}"
            return Verdict.FAIL, f"{excess}, {_number(metric.maximum_delta)} is allowed"
    return Verdict.PASS, f"{_number(value)} holds"


def _number(value: float | None) -> str:
    return "no" if value is None else f"{value:.6g}"


def begin(metrics: Iterable[Metric], now: float) -> tuple[MetricState, ...]:
    """Return fresh counts for a step that begins now; the first measurements are due after each initial delay."""
    return tuple(MetricState(name=metric.name, next_at=now + metric.initial_delay) for metric in metrics)


def due(metrics: Iterable[Metric], states: Iterable[MetricState], now: float) -> tuple[Metric, ...]:
    """Return the metrics to be measured now."""
    waiting = {state.name: state for state in states}
    return tuple(
        metric
        for metric in metrics
        if (state := waiting.get(metric.name)) is not None and state.verdict in OPEN and now >= state.next_at
    )


def fold(metric: Metric, state: MetricState, measurement: Measurement, now: float) -> MetricState:
    """Return the counts after one more measurement.

    A metric that has passed is still measured while its step lasts, and may yet fail; a failed or inconclusive one
    does not change any more.
    """
    if state.verdict not in OPEN:
        return state
    verdict, message = judge(metric, measurement)
    failed = state.failed + (verdict is Verdict.FAIL)
    inconclusive = state.inconclusive + (verdict is Verdict.INCONCLUSIVE)
    errors = state.errors_in_a_row + 1 if verdict is Verdict.ERROR else 0
    conclusive = verdict in {Verdict.PASS, Verdict.FAIL}
    measured = state.measured + conclusive
    outcome = Verdict.RUNNING
    if failed > metric.failure_limit:
        outcome = Verdict.FAIL
    elif inconclusive > metric.inconclusive_limit or errors > metric.consecutive_error_limit:
        outcome = Verdict.INCONCLUSIVE
    elif measured >= metric.count:
        outcome = Verdict.PASS
    return replace(
        state,
        next_at=now + max(1, metric.interval),
        taken=state.taken + 1,
        measured=measured,
        failed=failed,
        inconclusive=inconclusive,
        errors_in_a_row=errors,
        value=measurement.value if _usable(measurement.value) else None,
        stable_value=measurement.stable_value if _usable(measurement.stable_value) else None,
        samples=measurement.samples if _usable(measurement.samples) else None,
        verdict=outcome,
        message=message,
    )


def conclude(metrics: Iterable[Metric], states: Iterable[MetricState]) -> Verdict:
    """Return the verdict on the whole step: fail beats inconclusive beats running beats pass.

    Metrics in dry run are measured and shown, but have no vote. A metric without counts is still running.
    """
    verdicts = {state.name: state.verdict for state in states}
    votes = {verdicts.get(metric.name, Verdict.RUNNING) for metric in metrics if not metric.dry_run}
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.RUNNING):
        if verdict in votes:
            return verdict
    return Verdict.PASS
