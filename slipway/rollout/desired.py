"""From the written status to what the cluster should look like, and the actions still missing. Pure.

Every action here is a consequence of a status that has been written already (intent before act), is safe to repeat,
and carries the version of the object it was decided on.
"""

import hashlib
from dataclasses import replace
from typing import Final

from slipway.rollout import analysis
from slipway.rollout.colours import colours, consumers, deployed, workers
from slipway.rollout.context import EVERYTHING, Context
from slipway.rollout.observation import Action, Forget, RunJob, SetPreview, SetWeights
from slipway.rollout.spec import Metric
from slipway.rollout.status import Colour, MetricState, Phase, Reason

LONGEST_NAME: Final = 63
"""Of a Job, whose name becomes a label of its pods."""


def job_name(context: Context, kind: str) -> str:
    """Return the name of a Job: one per revision, kind and pause, so that a resumed rollout checks anew."""
    candidate = context.status.candidate or context.status.stable
    revision = "none" if candidate is None else candidate.hash
    name = f"{context.rollout.name}-{revision}-{kind}-{context.status.pauses}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def metric_job(context: Context, state: MetricState) -> str:
    """Return the name of the Job that takes the next measurement of a metric."""
    return job_name(context, f"{state.name}-{context.status.step}-{state.taken}")


def missing(context: Context) -> tuple[Action, ...]:
    """Return the actions that the cluster still lacks; empty when it is as the status says."""
    return (
        *_jobs(context),
        *colours(context),
        *workers(context),
        *_weights(context),
        *_preview(context),
        *consumers(context),
        *_forgotten(context),
    )


def judged(context: Context) -> tuple[Metric, ...]:
    """Return the metrics that judge the present phase.

    After promotion the stable version gets no requests to compare with, so deltas are left out.
    """
    if context.spec.analysis is None:
        return ()
    metrics = context.spec.analysis.metrics
    if context.status.phase is Phase.SOAK or (context.status.candidate is None):
        return tuple(_without_delta(metric) for metric in metrics)
    if context.step.weight == 100:  # noqa: PLR2004 - all of the requests
        return tuple(_without_delta(metric) for metric in metrics)
    return metrics


def _without_delta(metric: Metric) -> Metric:
    return metric if metric.maximum_delta is None else replace(metric, maximum_delta=None)


def _run(context: Context, kind: str, name: str) -> tuple[Action, ...]:
    revision = context.status.candidate or context.status.stable
    if revision is None or name in context.seen.jobs:
        return ()
    return (RunJob(name, kind, revision.hash, revision.image, revision.colour),)


def _jobs(context: Context) -> tuple[Action, ...]:
    status = context.status
    if status.phase is Phase.PREFLIGHT and context.spec.migrations is not None and status.stable is not None:
        # With a problem, what the Job is made of may not be there.
        return () if context.seen.problems else _run(context, "check", job_name(context, "check"))
    if status.phase is Phase.MIGRATING:
        return _run(context, "expand", job_name(context, "expand"))
    if status.phase is Phase.CONTRACT:
        return _run(context, "contract", job_name(context, "contract"))
    if status.phase is Phase.PREVIEW and context.spec.preview is not None and status.candidate is not None:
        annotation = context.seen.preview
        shown = annotation is None or annotation.weights == preview_weights(status.candidate.colour)
        ready = shown and context.view(status.candidate).ready >= context.candidate_share()
        return _run(context, "preview", job_name(context, "preview")) if ready else ()
    if status.phase in {Phase.ANALYSING, Phase.SOAK} or (status.phase is Phase.APPROVAL and context.weight() > 0):
        states = {state.name: state for state in status.metrics}
        found: list[Action] = []
        for metric in analysis.due(judged(context), status.metrics, context.now):
            if metric.job is not None:
                found.extend(_run(context, metric.name, metric_job(context, states[metric.name])))
        return tuple(found)
    return ()


def _weights(context: Context) -> tuple[Action, ...]:
    intent, found = context.status.intent, context.seen.annotation
    status = context.status
    held = status.phase is Phase.PAUSED and status.reason is Reason.BREAK_GLASS
    if intent is None or found is None or held or context.annotated():
        return ()
    before = dict(zip(Colour, found.weights or (0, 0), strict=True))
    for colour, weight in ((Colour.BLUE, intent.blue), (Colour.GREEN, intent.green)):
        if weight > 0 and before[colour] == 0 and context.seen.colours[colour].ready == 0:
            return ()
    return (SetWeights(intent.blue, intent.green, intent.initial, context.seen.epoch, found.version),)


def _preview(context: Context) -> tuple[Action, ...]:
    """The preview host shows the candidate while there is one, and the stable version otherwise."""
    found, status = context.seen.preview, context.status
    candidate = status.candidate if deployed(context) else None
    if found is None or (status.phase is Phase.PREVIEW and status.stable is not None and status.probe is None):
        return ()
    shown = candidate or status.stable
    if shown is None or (found.weights == preview_weights(shown.colour) and found.ours):
        return ()
    return (SetPreview(shown.colour, context.seen.epoch, found.version),)


def _forgotten(context: Context) -> tuple[Action, ...]:
    """Copies of revisions go when the history has forgotten them, no colour has them, and they are not wanted."""
    status, seen = context.status, context.seen
    if seen.wanted is None or status.candidate is not None:
        return ()
    known = {seen.wanted.hash, *(line.revision for line in status.history)}
    known |= {found.hash for found in (status.stable, status.standby) if found is not None}
    known |= {view.revision for view in seen.colours.values() if view.pods or view.replicas}
    known |= {view.workers.revision for view in seen.colours.values() if view.workers.replicas}
    return tuple(Forget(copy.name, copy.version) for copy in seen.copies if copy.revision not in known)


def preview_weights(colour: Colour) -> tuple[int, int]:
    """Return the annotated weights (blue, green) of a preview Service that shows one colour."""
    return (EVERYTHING, 0) if colour is Colour.BLUE else (0, EVERYTHING)


__all__ = ["job_name", "judged", "metric_job", "missing", "preview_weights"]
