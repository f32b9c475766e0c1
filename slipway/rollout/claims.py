"""One Service, one Rollout: the older one keeps it, another one on the same Service does nothing and says why. Pure.

The API server's own rules look at one object at a time, so they cannot say it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from slipway.rollout.context import Context
from slipway.rollout.moves import condition
from slipway.rollout.observation import Wait, Write
from slipway.rollout.status import Reason

TAKEN: Final = "ServiceTaken"


def holder(rollouts: Iterable[Mapping[str, Any]], name: str) -> str:
    """Return the name of the older Rollout on the Service of the named one; empty when that one is the oldest.

    Args:
        rollouts: all of a namespace, as the API server gives them.
        name: of the one that asks.
    """
    present = [found for found in rollouts if not found["metadata"].get("deletionTimestamp")]
    own = next((found for found in present if found["metadata"]["name"] == name), None)
    if own is None:
        return ""
    same = [found for found in present if found["spec"]["service"] == own["spec"]["service"]]
    oldest = min(same, key=lambda found: (found["metadata"]["creationTimestamp"], found["metadata"]["uid"]))
    return "" if oldest is own else oldest["metadata"]["name"]


def stands_back(context: Context) -> Write | Wait | None:
    """Return what a Rollout does whose Service another one has, or how it begins when it has not any more."""
    status, other = context.status, context.seen.holder
    told = next((found for found in status.conditions if found.type == TAKEN), None)
    if not other:
        if told is None:
            return None
        others = tuple(found for found in status.conditions if found.type != TAKEN)
        reason = Reason.NONE if status.reason is Reason.SERVICE_TAKEN else status.reason
        return context.stay(f"the Service {context.spec.service} is free", conditions=others, reason=reason, message="")
    text = f"the Service {context.spec.service} is rolled out by {other}, which is older: name another, or delete one"
    if told is not None and told.message == text and status.observed_generation == context.rollout.generation:
        return Wait(None)
    reason = Reason.SERVICE_TAKEN if status.candidate is None else status.reason
    return context.stay(text, conditions=condition(context, TAKEN, text), reason=reason, message=text)
