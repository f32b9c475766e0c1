"""The phases after promotion, and the way back. Pure; a write, or None to go on waiting."""

from dataclasses import replace
from typing import Any

from slipway.rollout import analysis
from slipway.rollout.context import Context
from slipway.rollout.desired import job_name, judged
from slipway.rollout.moves import accept, condition, emptied, fold_due, longest, revert, told, voting, with_metrics
from slipway.rollout.observation import Write
from slipway.rollout.status import Phase, Reason, Verdict


def promoted(context: Context) -> Write | None:
    """Promoted: the new version has everything; the soak begins, if there is one."""
    spec = context.spec
    if context.status.standby is not None and spec.analysis is not None and spec.analysis.soak > 0:
        until = context.now + spec.analysis.soak
        metrics = analysis.begin(judged(context), context.now)
        deadline = until + longest(context)
        return context.go(Phase.SOAK, "soak begins", metrics=metrics, until=until, deadline=deadline)
    return _settle(context)


def _settle(context: Context) -> Write:
    """Return the write that makes the promoted version the last good one."""
    status, stable = context.status, context.status.stable
    if stable is None:
        raise AssertionError(f"{context.rollout.name} has no stable version to settle")
    update: dict[str, Any] = {
        "last_good_digest": stable.digest,
        "last_good_image": stable.image,
        "history": context.finished(stable, "promoted"),
    }
    if status.standby is None:
        return context.go(Phase.DONE, f"revision {stable.number} serves", **update)
    until = context.now + context.spec.scale_down_delay
    return context.go(Phase.DRAINING, "the old version drains", until=until, **update)


def soak(context: Context) -> Write | None:
    """Soak: the promoted version is judged on all of the requests; a failure gives the service back."""
    states, changed = fold_due(context)
    verdict = analysis.conclude(voting(context), states)
    if verdict is Verdict.FAIL:
        return revert(context, Reason.ANALYSIS_FAILED, told(states, verdict), metrics=states)
    if verdict is Verdict.INCONCLUSIVE:
        return context.pause(Reason.INCONCLUSIVE, told(states, verdict), metrics=states)
    if verdict is Verdict.PASS and (context.status.until is None or context.now >= context.status.until):
        return _settle(replace(context, rollout=with_metrics(context, states)))
    return context.stay("measured", metrics=states) if changed else None


def draining(context: Context) -> Write | None:
    """Draining: the old version waits until its last request is over."""
    status = context.status
    if status.standby is None:
        return context.go(Phase.DONE, "there is no old version left")
    gone = emptied(context, status.standby.colour)
    if isinstance(gone, Write):
        return gone
    until = context.now + context.spec.rollback_window
    return context.go(Phase.WARM_STANDBY, "the old version stays warm", until=until) if gone else None


def _warm_standby(context: Context) -> Write | None:
    """The rollback window: when it closes, the old version goes."""
    if context.status.until is not None and context.now < context.status.until:
        return None
    if context.spec.migrations is not None and context.spec.migrations.contract and context.status.stable is not None:
        return context.go(
            Phase.CONTRACT,
            "the rollback window has closed; contract migration begins, there is no way back from here",
            standby=None,
            past_contract=context.status.stable.hash,
            deadline=context.now + context.spec.migrations.timeout,
        )
    return context.go(Phase.DONE, "the rollback window has closed", standby=None)


def contract(context: Context) -> Write | None:
    """Contract: the migration that the old version could not live with."""
    job = context.seen.jobs.get(job_name(context, "contract"))
    if job is None or job.exit_code is None:
        return None
    if job.exit_code == 0:
        return context.go(Phase.DONE, "contract migration done")
    text = f"the contract migration ended with {job.exit_code}: {job.message}"
    return context.go(Phase.DONE, text, conditions=condition(context, "ContractFailed", text))


def rolling_back(context: Context) -> Write | None:
    """RollingBack: stable pods first, then the weights, then every router has to confirm it."""
    status, candidate = context.status, context.status.candidate
    if candidate is None:
        return context.go(Phase.ROLLED_BACK, "rolled back")
    if status.intent is not None and context.weight() != 0:
        stable_ready = context.view(status.stable).ready
        enough = stable_ready >= context.need
        late = status.deadline is not None and context.now >= status.deadline
        nothing_better = stable_ready > 0 and (late or context.view(candidate).ready == 0)
        intent = context.intend(0) if enough or nothing_better else None
        return None if intent is None else context.stay("intends 0 %", intent=intent, observed=None)
    if status.intent is not None and not (context.annotated() and context.routers_agree()):
        return None
    return context.go(
        Phase.ROLLED_BACK,
        f"revision {candidate.number} is rolled back: {status.message}",
        until=context.now + context.spec.scale_down_delay,
        observed=context.observed(),
        history=context.finished(candidate, f"rolled back: {status.reason}"),
    )


def rolled_back(context: Context) -> Write | None:
    """RolledBack: the refused version is retired; another wanted revision may begin."""
    status = context.status
    if status.candidate is not None:
        gone = emptied(context, status.candidate.colour)
        if isinstance(gone, Write):
            return gone
        return context.stay("the refused version is retired", candidate=None, until=None) if gone else None
    wanted = context.seen.wanted
    if status.stable is not None and wanted is not None and wanted.hash == status.stable.hash:
        return context.go(Phase.DONE, "the stable version is wanted again", reason=Reason.NONE, by="")
    return accept(context)


def done(context: Context) -> Write | None:
    """Done: waits for a new revision."""
    return accept(context)


def warm(context: Context) -> Write | None:
    """WarmStandby: a new revision may begin; otherwise the window runs."""
    return accept(context) or _warm_standby(context)
