"""The phases before promotion: what each waits for, and what comes next. Pure; a write, or None to go on waiting."""

from dataclasses import replace
from typing import Final

from slipway.rollout import analysis, weights
from slipway.rollout.context import EVERYTHING, VERIFY_WITHIN, Context, reloaded
from slipway.rollout.desired import job_name, judged, preview_weights
from slipway.rollout.moves import accept, ask, back, fold_due, longest, opened, shift, told, voting, with_metrics
from slipway.rollout.observation import JobView, Write
from slipway.rollout.spec import previews_need_approval
from slipway.rollout.status import Colour, Phase, Reason, Verdict

THRESHOLDS_CROSSED: Final = 99
"""Exit code of a check that ran and found the version wanting."""
MIGRATION_PENDING: Final = 3
MIGRATION_UNSAFE: Final = 4
WAITS: Final = "waits: "
"""How the message of a preflight that cannot pass yet begins."""


def preflight_problems(context: Context) -> tuple[str, ...]:
    """Return everything that stands against starting, in words; empty when the way is free."""
    seen, spec = context.seen, context.spec
    found = list(seen.problems)
    if seen.prometheus is False:
        found.append("the metrics source does not answer")
    if not seen.routers or any(view is None for view in seen.routers.values()):
        found.append("not every router answers")
    idle = context.status.stable.colour.other if context.status.stable is not None else None
    if idle is not None and not context.without_weight(idle):
        found.append(f"the idle colour {idle} still gets requests")
    if seen.free_slots is not None and seen.free_slots < context.need - (seen.colours[idle].pods if idle else 0):
        found.append(f"a router has {seen.free_slots} free server slots, {context.need} are needed")
    if spec.connections is not None:
        pods = context.need + context.workers_need
        wanted = 2 * pods * spec.connections.per_replica
        if wanted > spec.connections.maximum:
            found.append(f"two colours need {wanted} database connections, {spec.connections.maximum} are allowed")
    return tuple(found)


def pending(context: Context) -> Write | None:
    """Pending: waits for a revision."""
    return accept(context)


def preflight(context: Context) -> Write | None:  # noqa: PLR0911 - one return a rule
    """Preflight: nothing is touched before everything a rollout needs is there."""
    problems = preflight_problems(context)
    if problems:
        text = "; ".join(problems)
        if context.status.message == WAITS + text and context.status.until is None:
            return None
        return context.stay(f"preflight: {text}", message=WAITS + text, until=None)
    if context.status.until is None:
        # The idle colour may have had requests until now; its pods stay for as long as any that lost their weight.
        until = context.now + context.spec.scale_down_delay
        return context.stay("nothing stands against it any more", message="preflight", until=until)
    if context.now < context.status.until:
        return None
    preview = Phase.PREVIEW, "preflight passed"
    if context.spec.migrations is not None:
        job = context.seen.jobs.get(job_name(context, "check"))
        if job is None or job.exit_code is None:
            return _held(context, job)
        if job.exit_code == MIGRATION_UNSAFE:
            return back(context, Reason.MIGRATION_UNSAFE, f"the migration is unsafe: {job.message}")
        if job.exit_code == MIGRATION_PENDING:
            deadline = context.now + context.spec.migrations.timeout
            return context.go(Phase.MIGRATING, "expand migration begins", deadline=deadline)
        if job.exit_code != 0:
            text = f"the migration check ended with {job.exit_code}: {job.message}"
            return back(context, Reason.MIGRATION_FAILED, text)
    return context.go(*preview, deadline=context.progress_deadline())


def migrating(context: Context) -> Write | None:
    """Migrating: the expand migration runs."""
    job = context.seen.jobs.get(job_name(context, "expand"))
    if job is None or job.exit_code is None:
        return _held(context, job)
    if job.exit_code != 0:
        text = f"the expand migration ended with {job.exit_code}: {job.message}"
        return back(context, Reason.MIGRATION_FAILED, text)
    return context.go(Phase.PREVIEW, "expand migration done", deadline=context.progress_deadline())


def _held(context: Context, job: JobView | None) -> Write | None:
    """Say once why a Job has not begun; its own deadline ends it."""
    if job is None or not job.message or context.status.message == job.message:
        return None
    return context.stay(job.message, message=job.message)


def preview(context: Context) -> Write | None:  # noqa: PLR0911 - one return a rule
    """Preview: the new pods come up without weight and are checked on the preview host."""
    candidate = context.status.candidate
    view = context.view(candidate)
    if view.crash_looping and view.ready == 0:
        return back(context, Reason.CRASH_LOOP, "the new pods crash again and again")
    if view.ready < context.candidate_share() or not context.workers_ready(candidate):
        return None
    if context.status.stable is None:
        return shift(context, 0, "the first revision is ready")
    checked = _previewed(context)
    if checked is not True:
        return checked or None
    if context.spec.dry_run:
        return back(context, Reason.DRY_RUN, "dry run: everything before the first shift holds")
    if previews_need_approval(context.spec):
        return ask(context, "preview") or shift(context, 0, "the preview was approved before")
    return shift(context, 0, "the preview holds")


def _previewed(context: Context) -> Write | bool:
    """Return whether the preview shows the candidate and its check has passed, or what to write instead."""
    probed = _probe(context) if context.seen.preview is not None else True
    if probed is not True or context.spec.preview is None:
        return probed
    job = context.seen.jobs.get(job_name(context, "preview"))
    if job is None or job.exit_code is None:
        return False
    if job.exit_code == THRESHOLDS_CROSSED:
        return back(context, Reason.PREVIEW_FAILED, f"the preview check failed: {job.message}")
    if job.exit_code != 0:
        return context.pause(Reason.INCONCLUSIVE, f"the preview check ended with {job.exit_code}: {job.message}")
    return True


def _probe(context: Context) -> Write | bool:
    """Return whether the preview host shows the candidate in every router, and moving it there reloaded none.

    The preview is moved by the same means as the live weights, so this tells, before the first request moves, whether
    a shift reloads the routers.
    """
    status, candidate = context.status, context.status.candidate
    present = {name: view.process for name, view in context.seen.routers.items() if view is not None}
    if status.probe is None:
        known = len(present) == len(context.seen.routers) and bool(present)
        return context.stay("moving the preview, to see whether a shift reloads", probe=present) if known else False
    found = context.seen.preview
    if candidate is None or found is None or found.weights != preview_weights(candidate.colour):
        return False
    for view in context.seen.routers.values():
        shown = view.preview if view is not None else None
        if shown is None:
            return False
        blue, green = shown
        own, other = (blue, green) if candidate.colour is Colour.BLUE else (green, blue)
        if own == 0 or other > 0:
            return False
    reloads = any(reloaded(before, present[name]) for name, before in status.probe.items() if name in present)
    if reloads and not context.spec.allow_reloads:
        text = "moving the preview reloaded a router; set allowReloads to accept that shifts may cost requests"
        return context.pause(Reason.SHIFT_RELOADS, text)
    return True


def approval(context: Context) -> Write | None:
    """Approval: a person decides."""
    approvals = opened(context)
    if approvals is not None:
        by = approvals[-1].by
        step = 0 if context.status.gate == "preview" else context.status.step + 1
        return shift(context, step, f"{by} approved {context.status.gate}", approvals=approvals)
    if context.status.until is not None and context.now >= context.status.until:
        return back(context, Reason.PAUSE_TIMEOUT, f"nobody approved {context.status.gate!r} in time")
    return None


def target(context: Context) -> int:
    """Return the percent the present step asks for; the first revision of a service takes everything."""
    return EVERYTHING if context.status.stable is None else context.step.weight


def shifting(context: Context) -> Write | None:
    """Shifting: enough pods first, then the intent, then the annotation."""
    percent = target(context)
    if context.weight() != percent or context.status.intent is None:
        if context.view(context.status.candidate).ready < weights.replicas_for(percent, context.need):
            return None
        intent = context.intend(percent)
        if intent is None:
            return None
        # Said before it is done, like the intent: a version is never seen by users earlier than this.
        exposed = context.status.exposed or context.now
        return context.stay(f"intends {percent} %", intent=intent, observed=None, exposed=exposed)
    if not context.annotated():
        return None
    deadline = context.now + min(VERIFY_WITHIN, context.spec.progress_deadline)
    return context.go(Phase.VERIFYING, f"{percent} % written; reading it back", deadline=deadline)


def verifying(context: Context) -> Write | None:
    """Verifying: every router has to hold the weights before anything is judged."""
    status, intent = context.status, context.status.intent
    if intent is None or not context.annotated() or not context.routers_agree():
        return None
    present = {name: view.process for name, view in context.seen.routers.items() if view is not None}
    shift_reloads = intent.attempt == 0 and any(
        reloaded(before, present[name]) for name, before in intent.routers.items() if name in present
    )
    reloads = status.reloads + shift_reloads
    if reloads > 1 and shift_reloads and not context.spec.allow_reloads:
        text = "shifting weights reloads the routers; set allowReloads to accept the risk"
        return context.pause(Reason.SHIFT_RELOADS, text, reloads=reloads)
    observed = context.observed()
    if status.stable is None:
        return promote(context)
    metrics = judged(context) if context.step.analysis else ()
    until = context.now + context.step.pause
    return context.go(
        Phase.ANALYSING,
        f"{len(present)} routers hold {observed.blue:g} % blue, {observed.green:g} % green",
        observed=observed,
        reloads=reloads,
        metrics=analysis.begin(metrics, context.now),
        until=until,
        deadline=until + longest(context),
    )


def analysing(context: Context) -> Write | None:
    """Analysing: the step is judged, and lasts at least its pause."""
    states, changed = fold_due(context)
    verdict = analysis.conclude(voting(context), states)
    if verdict is Verdict.FAIL:
        return back(context, Reason.ANALYSIS_FAILED, told(states, verdict), metrics=states)
    if verdict is Verdict.INCONCLUSIVE:
        return context.pause(Reason.INCONCLUSIVE, told(states, verdict), metrics=states)
    if verdict is Verdict.PASS and (context.status.until is None or context.now >= context.status.until):
        return _next(replace(context, rollout=with_metrics(context, states)))
    return context.stay("measured", metrics=states) if changed else None


def _next(context: Context) -> Write:
    """Return the write after a step has passed: an approval, the next step, or the promotion."""
    step = context.status.step
    if step + 1 >= len(context.steps):
        return promote(context)
    if context.step.approval:
        asked = ask(context, f"step-{step}")
        if asked is not None:
            return asked
    return shift(context, step + 1, f"step {step} passed")


def promote(context: Context) -> Write:
    """Return the write that makes the candidate stable. Nothing else in the controller does."""
    status, candidate = context.status, context.status.candidate
    if candidate is None or status.intent is None:
        raise AssertionError(f"{context.rollout.name} has nothing to promote")
    return context.go(
        Phase.PROMOTED,
        f"revision {candidate.number} is promoted",
        stable=candidate,
        standby=status.stable,
        candidate=None,
        intent=replace(status.intent, candidate_weight=0),
        observed=context.observed(),
        unready_since=None,
        promoted=context.now,
    )
