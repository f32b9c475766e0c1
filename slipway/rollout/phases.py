"""Which function has its say in which phase, and the pause, which may interrupt any of them. Pure."""

from collections.abc import Callable
from typing import Final

from slipway.rollout import after, forward
from slipway.rollout.context import Context
from slipway.rollout.moves import back, opened, resume, revert
from slipway.rollout.observation import Write
from slipway.rollout.status import Phase, Reason


def paused(context: Context) -> Write | None:  # noqa: PLR0911 - one return a rule
    """Return the write that leaves a pause: resumed by whoever may, or rolled back when nobody did in time."""
    status = context.status
    annotation, intent = context.seen.annotation, status.intent
    if status.reason is Reason.OPERATOR:
        return None if context.spec.paused else resume(context, "the operator goes on")
    if status.reason is Reason.BREAK_GLASS:
        same = annotation is not None and intent is not None and annotation.weights == (intent.blue, intent.green)
        if same:
            return resume(context, "the weights are as intended again")
    approvals = opened(context)
    if approvals is not None:
        override = annotation.version if annotation is not None else ""
        return resume(context, f"{approvals[-1].by} goes on", approvals=approvals, override=override)
    if status.until is None or context.now < status.until:
        return None
    text = f"nobody ended the pause in time ({status.reason})"
    if status.candidate is not None:
        return back(context, Reason.PAUSE_TIMEOUT, text)
    if status.standby is not None:
        return revert(context, Reason.PAUSE_TIMEOUT, text)
    return resume(context, text)


HANDLERS: Final[dict[Phase, Callable[[Context], Write | None]]] = {
    Phase.PENDING: forward.pending,
    Phase.PREFLIGHT: forward.preflight,
    Phase.MIGRATING: forward.migrating,
    Phase.PREVIEW: forward.preview,
    Phase.APPROVAL: forward.approval,
    Phase.SHIFTING: forward.shifting,
    Phase.VERIFYING: forward.verifying,
    Phase.ANALYSING: forward.analysing,
    Phase.PROMOTED: after.promoted,
    Phase.SOAK: after.soak,
    Phase.DRAINING: after.draining,
    Phase.WARM_STANDBY: after.warm,
    Phase.CONTRACT: after.contract,
    Phase.DONE: after.done,
    Phase.ROLLING_BACK: after.rolling_back,
    Phase.ROLLED_BACK: after.rolled_back,
    Phase.PAUSED: paused,
}
