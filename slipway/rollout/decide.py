"""The decision core: one pure function from what is written and what is seen to what happens next.

    decide(rollout, seen, now) -> Write(status) | Act(actions) | Wait(until)

Three rules make it safe to run anywhere, any number of times, and to die at any point:

1. Intent before act. A decision either changes the status (written by compare-and-swap) or acts as the status that is
   already written says; never both.
2. Level-based. What to do follows from the status and the look, not from what was done before; repeating is harmless.
3. Absolute timers. Moments stand in the status; a new leader waits for the same moment, not for the same duration.

A Rollout whose Service is another one's does nothing. Then come the rules that hold in every phase, in the order of how
much they matter; then the phase has its say; then the cluster is made to look as the status says.
"""

from collections.abc import Callable
from typing import Final

from slipway.rollout.claims import stands_back
from slipway.rollout.context import UNREADY_GRACE, VERIFY_WITHIN, Context
from slipway.rollout.desired import judged, missing
from slipway.rollout.forward import preflight_problems
from slipway.rollout.moves import back, condition, heal, revert, watched
from slipway.rollout.observation import Act, Decision, Observation, Rollout, Wait, Write
from slipway.rollout.phases import HANDLERS
from slipway.rollout.status import AFTER_PROMOTION, RESTING, UNDER_TEST, Phase, Reason, Verdict

REFUSED: Final = "AbortRefused"


def decide(rollout: Rollout, seen: Observation, now: float) -> Decision:
    """Return the one next thing to do for a rollout.

    Args:
        rollout: the object as it is written.
        seen: one look at the cluster.
        now: seconds since the epoch.
    """
    context = Context(rollout, seen, now)
    held = stands_back(context)
    if held is not None:
        return held
    for rule in RULES:
        decision = rule(context)
        if decision is not None:
            return decision
    decision = HANDLERS[rollout.status.phase](context) or heal(context)
    if decision is not None:
        return decision
    actions = missing(context)
    if actions:
        return Act(actions)
    if rollout.status.observed_generation != rollout.generation:
        return context.stay("")
    return Wait(next_moment(context))


def _aborted(context: Context) -> Write | None:  # noqa: PLR0911 - one return a rule
    """Rule 1: a person's abort wins over everything, in any phase, as long as there is something to go back to."""
    order, status = context.spec.abort, context.status
    if order is None:
        return None
    text = f"{order.by} aborted revision {order.revision}" + (f": {order.reason}" if order.reason else "")
    if status.candidate is not None and status.candidate.hash == order.revision:
        if status.phase in UNDER_TEST or status.phase is Phase.PAUSED:
            return back(context, Reason.ABORTED, text, by=order.by)
        return None
    if status.stable is None or status.stable.hash != order.revision:
        return None
    if status.candidate is not None or any(found.type == REFUSED for found in status.conditions):
        return None
    if status.past_contract == order.revision:
        return _refuse(context, "its contract migration has begun, the old version cannot read the database any more")
    if status.standby is None:
        return _refuse(context, "its rollback window has closed; start the old image as a new revision instead")
    return revert(context, Reason.ABORTED, text, by=order.by)


def _refuse(context: Context, why: str) -> Write:
    text = f"revision {context.status.stable and context.status.stable.hash} cannot be taken back: {why}"
    return context.stay(text, message=text, conditions=condition(context, REFUSED, text))


def _broken_glass(context: Context) -> Write | None:
    """Rule 2: whoever moved the weights by hand had a reason; step aside and say who it was."""
    annotation, intent, status = context.seen.annotation, context.status.intent, context.status
    if annotation is None or annotation.ours or intent is None or annotation.weights is None:
        return None
    if annotation.weights == (intent.blue, intent.green) or annotation.version == status.override:
        return None
    if status.phase is Phase.ROLLING_BACK:
        return None
    if status.phase is Phase.PAUSED and status.reason is Reason.BREAK_GLASS:
        return None
    blue, green = annotation.weights
    writer = annotation.writer or "someone unknown"
    text = f"{writer} set blue={blue} green={green} by hand; the controller does not touch the weights until approved"
    resume = status.resume_to if status.phase is Phase.PAUSED else status.phase
    return context.pause(Reason.BREAK_GLASS, text, by=writer, resume_to=resume)


def _held(context: Context) -> Write | None:
    """Rule 3: `spec.paused` holds a revision that is not promoted yet."""
    if not context.spec.paused or context.status.phase not in UNDER_TEST or context.status.candidate is None:
        return None
    return context.pause(Reason.OPERATOR, "paused by spec.paused")


def _superseded(context: Context) -> Write | None:
    """Rule 4: another wanted revision sends the candidate back; it starts itself when that is done.

    A running migration is never cut off: the phase ends first.
    """
    status, wanted = context.status, context.seen.wanted
    if wanted is None or status.candidate is None or status.candidate.hash == wanted.hash:
        return None
    testing = status.phase in UNDER_TEST and status.phase is not Phase.MIGRATING
    waiting = status.phase is Phase.PAUSED and status.reason is not Reason.BREAK_GLASS
    if not testing and not waiting:
        return None
    return back(context, Reason.SUPERSEDED, f"superseded by revision {wanted.hash}")


def _unready(context: Context) -> Write | None:  # noqa: PLR0911 - one return a rule
    """Rule 5: a version that has requests and loses its pods goes back, paused or not."""
    status = context.status
    if status.stable is None:
        return None
    if status.candidate is None:
        lost = status.phase in AFTER_PROMOTION and context.view(status.stable).ready == 0
        if lost and status.standby is not None and context.view(status.standby).ready > 0:
            return revert(context, Reason.UNREADY, "the promoted version has no ready pod")
        return None
    exposed = status.phase in UNDER_TEST or status.phase is Phase.PAUSED
    if not exposed or context.weight() == 0 or status.reason is Reason.BREAK_GLASS:
        return None
    ready = context.view(status.candidate).ready
    if ready == 0:
        return back(context, Reason.UNREADY, "the version under test has no ready pod")
    if 2 * ready < context.candidate_share():
        if status.unready_since is None:
            return context.stay(f"only {ready} pods are ready", unready_since=context.now)
        if context.now - status.unready_since >= UNREADY_GRACE:
            return back(context, Reason.UNREADY, f"only {ready} pods of the version under test are ready")
        return None
    return context.stay("enough pods are ready again", unready_since=None) if status.unready_since else None


def _workers_lost(context: Context) -> Write | None:
    """Rule 6: a version whose workers crash goes back, unless the other version's do too: that is nobody's fault."""
    status = context.status
    if status.stable is None:
        return None
    if status.candidate is not None:
        exposed = status.phase in UNDER_TEST or (
            status.phase is Phase.PAUSED and status.reason is not Reason.BREAK_GLASS
        )
        if exposed and context.workers_crash(status.candidate) and context.workers_ready(status.stable):
            return back(context, Reason.CRASH_LOOP, "the workers of the version under test crash again and again")
        return None
    warm = status.phase in AFTER_PROMOTION and status.standby is not None and context.workers_ready(status.standby)
    if warm and context.workers_crash(status.stable):
        return revert(context, Reason.CRASH_LOOP, "the workers of the promoted version crash again and again")
    return None


def _late(context: Context) -> Write | None:  # noqa: PLR0911 - one return a rule
    """Rule 8: no phase waits for ever. What cannot be known pauses, what does not work goes back."""
    status = context.status
    if status.deadline is None or context.now < status.deadline:
        return None
    if status.phase is Phase.CONTRACT:
        text = "the contract migration did not end in time"
        return context.go(Phase.DONE, text, conditions=condition(context, "ContractFailed", text))
    if status.phase is Phase.VERIFYING and status.stable is not None:
        return context.pause(Reason.ROUTER_DISAGREES, "not every router holds the weights in time")
    if status.phase in {Phase.ANALYSING, Phase.SOAK}:
        return context.pause(Reason.INCONCLUSIVE, "the analysis did not come to an end in time")
    if status.phase is Phase.PREFLIGHT:
        text = "; ".join(preflight_problems(context)) or "the migration check did not end in time"
        return back(context, Reason.PREFLIGHT_FAILED, f"preflight: {text}")
    if status.phase is Phase.MIGRATING:
        return back(context, Reason.MIGRATION_FAILED, "the expand migration did not end in time")
    if status.phase in UNDER_TEST and status.candidate is not None:
        return back(context, Reason.DEADLINE, f"no progress in {status.phase} within the deadline")
    return None


RULES: Final[tuple[Callable[[Context], Write | None], ...]] = (
    _aborted,
    _broken_glass,
    _held,
    _superseded,
    _unready,
    _workers_lost,
    watched,
    _late,
)


def next_moment(context: Context) -> float | None:
    """Return the next moment at which time alone changes the decision, or None."""
    status, now = context.status, context.now
    moments = [status.deadline, status.until]
    if status.until is not None and status.phase in {Phase.DRAINING, Phase.ROLLED_BACK}:
        moments.append(status.until + context.spec.drain_timeout)
    if status.unready_since is not None:
        moments.append(status.unready_since + UNREADY_GRACE)
    if status.phase in {Phase.ANALYSING, Phase.SOAK, Phase.APPROVAL, Phase.PAUSED} and judged(context):
        moments.extend(state.next_at for state in status.metrics if state.verdict in {Verdict.RUNNING, Verdict.PASS})
    future = [moment for moment in moments if moment is not None and moment > now]
    return min(future, default=None)


def at_rest(rollout: Rollout) -> bool:
    """Return whether nothing is under way, so that looking less often is enough."""
    return rollout.status.phase in RESTING and rollout.status.candidate is None


__all__ = ["RULES", "VERIFY_WITHIN", "at_rest", "decide", "next_moment"]
