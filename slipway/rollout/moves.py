"""The writes that more than one phase makes: forward, back, into a gate, out of a pause. Pure."""

from dataclasses import replace
from typing import Any

from slipway.rollout import analysis, weights
from slipway.rollout.context import EVERYTHING, HEAL_AFTER, SETTLES_WITHIN, Context
from slipway.rollout.desired import judged
from slipway.rollout.observation import Rollout, Write
from slipway.rollout.spec import Metric
from slipway.rollout.status import (
    KEPT,
    Approval,
    Colour,
    Condition,
    MetricState,
    Phase,
    Reason,
    Revision,
    Verdict,
)


def back(context: Context, reason: Reason, event: str, *, by: str = "", **changes: Any) -> Write:
    """Return the write that begins the way back of the candidate. A superseded one is not held against it."""
    status, candidate = context.status, context.status.candidate
    if candidate is None:
        raise AssertionError(f"{context.rollout.name} has no candidate to roll back in {status.phase}")
    update: dict[str, Any] = {"reason": reason, "by": by, "deadline": context.progress_deadline(), **changes}
    if reason is not Reason.SUPERSEDED:
        update["rejected"] = context.rejection(candidate, reason, by)
    if status.stable is None:
        return context.go(Phase.ROLLED_BACK, event, **(update | {"deadline": None, "candidate": None, "intent": None}))
    return context.go(Phase.ROLLING_BACK, event, **update)


def revert(context: Context, reason: Reason, event: str, *, by: str = "", **changes: Any) -> Write:
    """Return the write that gives the service back to the warm old version after a promotion."""
    status = context.status
    if status.standby is None or status.stable is None or status.intent is None:
        raise AssertionError(f"{context.rollout.name} has no warm version to go back to in {status.phase}")
    swapped = replace(
        status,
        stable=status.standby,
        candidate=status.stable,
        # What is taken back is no good version any more, whatever it was when it was promoted.
        last_good_digest=status.standby.digest,
        last_good_image=status.standby.image,
        standby=None,
        intent=replace(status.intent, candidate_weight=EVERYTHING),
    )
    turned = replace(context, rollout=replace(context.rollout, status=swapped))
    return back(turned, reason, event, by=by, **changes)


def accept(context: Context) -> Write | None:
    """Return the write that makes the wanted revision the candidate, when it is a new one that may be tried."""
    status, wanted = context.status, context.seen.wanted
    if wanted is None or context.spec.paused or status.rejects(wanted.hash) or status.candidate is not None:
        return None
    if status.stable is not None and wanted.hash == status.stable.hash:
        return None
    candidate = Revision(
        hash=wanted.hash,
        image=wanted.image,
        number=status.revisions + 1,
        colour=free_colour(context),
        workers=context.spec.workers is not None,
    )
    bootstrap = status.stable is None
    phase = Phase.PREVIEW if bootstrap else Phase.PREFLIGHT
    return context.go(
        phase,
        f"revision {candidate.number} ({candidate.hash}) begins on {candidate.colour}",
        candidate=candidate,
        standby=None,
        step=0,
        metrics=(),
        reason=Reason.NONE,
        by="",
        unready_since=None,
        reloads=0,
        probe=None,
        observed=None,
        resume_to=None,
        revisions=candidate.number,
        started=context.now,
        exposed=None,
        promoted=None,
        until=context.now,
        deadline=context.progress_deadline(),
    )


def free_colour(context: Context) -> Colour:
    """Return the colour that a new candidate takes."""
    return Colour.BLUE if context.status.stable is None else context.status.stable.colour.other


def condition(context: Context, kind: str, message: str) -> tuple[Condition, ...]:
    """Return the conditions with this one set to True."""
    others = [found for found in context.status.conditions if found.type != kind]
    entry = Condition(type=kind, status="True", reason=kind, message=message, last_transition_time=context.now)
    return (*others, entry)[-KEPT:]


def ask(context: Context, gate: str) -> Write | None:
    """Return the write that asks for an approval, or None when this revision has it already."""
    candidate = context.status.candidate
    known = any(
        candidate is not None and entry.revision == candidate.hash and entry.gate == gate
        for entry in context.status.approvals
    )
    if known:
        return None
    until = context.now + context.spec.pause_timeout
    return context.go(Phase.APPROVAL, f"waits for the approval {gate!r}", gate=gate, until=until)


def opened(context: Context) -> tuple[Approval, ...] | None:
    """Return the approvals with the awaited gate opened, or None while nobody has opened it."""
    order, status = context.spec.approve, context.status
    revision = status.candidate or status.stable
    if order is None or revision is None or order.revision != revision.hash or order.gate != status.gate:
        return None
    entry = Approval(revision=order.revision, gate=order.gate, by=order.by, at=context.now)
    return (*status.approvals, entry)[-KEPT:]


def shift(context: Context, step: int, event: str, **changes: Any) -> Write:
    """Return the write that enters a step."""
    weight = context.steps[min(step, len(context.steps) - 1)].weight
    update: dict[str, Any] = {"step": step, "metrics": (), "deadline": context.progress_deadline()} | changes
    return context.go(Phase.SHIFTING, f"{event}; shifting to {weight} %", **update)


def heal(context: Context) -> Write | None:
    """Return the write that makes the routers load a fresh configuration, when one has disagreed for long enough.

    Another full weight is harmless, and the ingress controller does not send it to a running process: it reloads. This
    holds in every phase: a router that lost an update would give a refused version requests as soon as its pods return.
    """
    status, intent = context.status, context.status.intent
    if intent is None or not context.annotated():
        return None
    if not context.routers_disagree():
        return context.stay("", disagree_since=None) if status.disagree_since is not None else None
    if status.disagree_since is None:
        late = context.now - intent.since >= SETTLES_WITHIN
        return context.stay("a router disagrees", disagree_since=context.now) if late else None
    if context.now - status.disagree_since < HEAL_AFTER:
        return None
    other = weights.INITIAL - 1 if intent.initial == weights.INITIAL else weights.INITIAL
    healed = replace(intent, initial=other, since=context.now, attempt=intent.attempt + 1)
    event = "a router still disagrees: making it load a fresh configuration"
    return context.stay(event, intent=healed, disagree_since=None)


def longest(context: Context) -> float:
    """Return the longest time the measurements of a step may take, in seconds."""
    longest = float(context.spec.progress_deadline)
    for metric in judged(context):
        tries = metric.count + metric.inconclusive_limit + metric.consecutive_error_limit + metric.failure_limit + 1
        each = metric.interval + (metric.job.timeout if metric.job is not None else 0)
        longest = max(longest, metric.initial_delay + tries * each + context.spec.progress_deadline)
    return longest


def fold_due(context: Context) -> tuple[tuple[MetricState, ...], bool]:
    """Return the counts with every answer that has come for a due metric, and whether anything changed."""
    by_name = {metric.name: metric for metric in analysis.due(judged(context), context.status.metrics, context.now)}
    states: list[MetricState] = []
    changed = False
    for state in context.status.metrics:
        metric = by_name.get(state.name)
        answer = context.seen.measurements.get(state.name)
        if metric is None or answer is None:
            states.append(state)
            continue
        states.append(analysis.fold(metric, state, answer, context.now))
        changed = True
    return tuple(states), changed


def told(states: tuple[MetricState, ...], verdict: Verdict) -> str:
    """Return in words which metrics led to a verdict."""
    guilty = [f"{state.name}: {state.message}" for state in states if state.verdict is verdict]
    return "; ".join(guilty) or verdict


def voting(context: Context) -> tuple[Metric, ...]:
    """Return the metrics that judge the phase; none when the step is not analysed."""
    return judged(context) if context.status.metrics else ()


def with_metrics(context: Context, states: tuple[MetricState, ...]) -> Rollout:
    """Return the object with these counts in its status, so that a later write keeps them."""
    return replace(context.rollout, status=replace(context.status, metrics=states))


def watched(context: Context) -> Write | None:
    """Return what comes of judging on while a version that users meet waits for a person.

    Only a failure acts: patience is the person's. What is inconclusive at a gate is asked anew, as requests may come.
    """
    status = context.status
    waits = status.phase is Phase.APPROVAL or (status.phase is Phase.PAUSED and status.reason is not Reason.BREAK_GLASS)
    if not waits or status.candidate is None or context.weight() == 0:
        return None
    states, changed = fold_due(context)
    if analysis.conclude(voting(context), states) is Verdict.FAIL:
        return back(context, Reason.ANALYSIS_FAILED, told(states, Verdict.FAIL), metrics=states)
    if not changed:
        return None
    if status.phase is Phase.APPROVAL:
        fresh = {found.name: found for found in analysis.begin(judged(context), context.now)}
        states = tuple(fresh[found.name] if found.verdict is Verdict.INCONCLUSIVE else found for found in states)
    return context.stay("", metrics=states)


def emptied(context: Context, colour: Colour) -> Write | bool:
    """Return whether a colour may lose its pods: a while without weight, and no request open (or patience is over).

    The clock starts when every router has confirmed it, and starts again whenever one does not.
    """
    until = context.status.until
    if not context.without_weight(colour):
        return context.stay(f"{colour} may still get requests", until=None) if until is not None else False
    if until is None:
        return context.stay(f"{colour} gets no requests", until=context.now + context.spec.scale_down_delay)
    if context.now < until:
        return False
    return context.drained(colour) or context.now >= until + context.spec.drain_timeout


def resume(context: Context, event: str, **changes: Any) -> Write:
    """Return the write that goes on where a pause interrupted; whatever was being judged begins anew."""
    phase = context.status.resume_to or Phase.DONE
    update: dict[str, Any] = {"reason": Reason.NONE, "resume_to": None, "metrics": (), "probe": None} | changes
    if phase in {Phase.SHIFTING, Phase.VERIFYING, Phase.ANALYSING}:
        return context.go(Phase.SHIFTING, event, **(update | {"deadline": context.progress_deadline()}))
    if phase in {Phase.SOAK, Phase.PROMOTED}:
        return context.go(Phase.PROMOTED, event, **update)
    if phase is Phase.APPROVAL:
        gate = "preview" if context.weight() == 0 else f"step-{context.status.step}"
        until = context.now + context.spec.pause_timeout
        return context.go(Phase.APPROVAL, event, **(update | {"gate": gate, "until": until}))
    if phase is Phase.WARM_STANDBY:
        return context.go(phase, event, **(update | {"until": context.now + context.spec.rollback_window}))
    if phase in {Phase.PREFLIGHT, Phase.MIGRATING, Phase.PREVIEW, Phase.CONTRACT}:
        update["deadline"] = context.progress_deadline()
    return context.go(phase, event, **update)
