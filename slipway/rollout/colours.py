"""The pods of both colours, and which colour's workers consume: what the status comes to, and what is missing. Pure.

Workers of both colours may run at once. A switch, one value in one object, names the colour that consumes: the stable
one. So a version's workers are seen to live before any message depends on them, a promotion moves the messages without
a start, and the way back is as short. The status that names the stable version is the intent; the switch follows it.
"""

from typing import Final

from slipway.rollout.context import Context
from slipway.rollout.observation import Action, ApplyColour, ApplyWorkers, ColourView, SetConsumers
from slipway.rollout.status import Colour, Phase, Reason, Revision

DEPLOYED: Final[frozenset[Phase]] = frozenset(
    {Phase.PREVIEW, Phase.APPROVAL, Phase.SHIFTING, Phase.VERIFYING, Phase.ANALYSING},
)
"""Phases in which the candidate's pods are made and sized. On the way back it keeps what it has until it is retired."""


def deployed(context: Context) -> bool:
    """Return whether the candidate's pods are looked after now: a pause goes on with what it interrupted."""
    status = context.status
    if status.phase is not Phase.PAUSED:
        return status.phase in DEPLOYED
    return status.reason is not Reason.BREAK_GLASS and status.resume_to in DEPLOYED


def colours(context: Context) -> tuple[Action, ...]:
    """Return what the Deployments that serve requests lack."""
    found: list[Action] = []
    status = context.status
    if status.stable is None and status.candidate is None:
        return ()
    for colour in Colour:
        view = context.seen.colours[colour]
        if status.stable is not None and status.stable.colour is colour:
            found.extend(_serve(context, status.stable, view, context.need))
        elif status.candidate is not None and status.candidate.colour is colour:
            if deployed(context):
                share = max(context.candidate_share(), view.replicas if view.revision == status.candidate.hash else 0)
                found.extend(_serve(context, status.candidate, view, share))
        elif status.standby is not None and status.standby.colour is colour:
            continue
        elif view.replicas and may_retire(context, colour):
            found.append(ApplyColour(colour, "", "", 0, view.version))
    return tuple(found)


def _serve(context: Context, revision: Revision, view: ColourView, replicas: int) -> tuple[Action, ...]:
    if view.revision != revision.hash:
        if view.pods and not _may_replace(context, revision.colour):
            return ()
        return (ApplyColour(revision.colour, revision.hash, revision.image, replicas, view.version),)
    if view.replicas < replicas:
        return (ApplyColour(revision.colour, "", "", replicas, view.version),)
    return ()


def _may_replace(context: Context, colour: Colour) -> bool:
    """Pods that may have requests are not replaced: the colour must be without weight. At bootstrap nothing serves."""
    return context.status.stable is None or context.without_weight(colour)


def may_retire(context: Context, colour: Colour) -> bool:
    """A colour goes only when the intent, the annotation and every router have long agreed that it has no weight."""
    status, found = context.status, context.seen.annotation
    intent = status.intent
    if intent is None:
        return True
    weight = intent.blue if colour is Colour.BLUE else intent.green
    quiet = context.now - max(intent.since, status.since) >= context.spec.scale_down_delay
    held = status.reason is Reason.BREAK_GLASS or found is None or not found.ours
    return weight == 0 and quiet and not held and context.without_weight(colour)


def workers(context: Context) -> tuple[Action, ...]:
    """Return what the Deployments of the workers lack. A colour that consumes is neither replaced nor retired."""
    status, switch = context.status, context.seen.switch
    found: list[Action] = []
    if status.stable is None and status.candidate is None:
        return ()
    for colour in Colour:
        view = context.seen.colours[colour].workers
        consumes = switch is not None and switch.colour is colour
        if status.stable is not None and status.stable.colour is colour:
            found.extend(_work(context, status.stable))
        elif status.candidate is not None and status.candidate.colour is colour:
            if deployed(context) and not (consumes and view.replicas and status.stable is not None):
                found.extend(_work(context, status.candidate))
        elif status.standby is not None and status.standby.colour is colour:
            continue
        elif view.replicas and not consumes and may_retire(context, colour):
            found.append(ApplyWorkers(colour, "", 0, view.version))
    return tuple(found)


def _work(context: Context, revision: Revision) -> tuple[Action, ...]:
    view, asked = context.seen.colours[revision.colour].workers, context.workers_asked(revision)
    if not revision.workers or view.revision == revision.hash:
        return (ApplyWorkers(revision.colour, "", asked, view.version),) if view.replicas != asked else ()
    # Without `spec.workers` nothing says what its pods would be.
    return () if context.spec.workers is None else (ApplyWorkers(revision.colour, revision.hash, asked, view.version),)


def consumers(context: Context) -> tuple[Action, ...]:
    """Return the move of the switch, or its renewal under this leadership, so that a late one of another is refused."""
    found, colour = context.seen.switch, _consuming(context)
    if found is None or colour is None or (found.colour is colour and found.fence == context.seen.epoch):
        return ()
    return (SetConsumers(colour, context.seen.epoch, found.version),)


def _consuming(context: Context) -> Colour | None:
    """The stable version consumes; while its workers are away and the warm old version's are not, the old one does."""
    status, found = context.status, context.seen.switch
    if status.stable is None:
        return None
    old = status.standby
    if found is None or old is None or found.colour is not old.colour:
        return status.stable.colour
    away = status.stable.workers and context.workers(status.stable).ready == 0
    waits = away and context.workers(old).ready > 0
    return old.colour if waits else status.stable.colour
