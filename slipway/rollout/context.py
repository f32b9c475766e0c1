"""One look at one rollout, with the questions that the rules ask of it. Pure; shared by `phases` and `desired`."""

from dataclasses import dataclass, replace
from typing import Any, Final

from slipway.rollout import backlog, weights
from slipway.rollout.observation import ColourView, Observation, Rollout, RouterView, WorkersView, Write
from slipway.rollout.spec import RolloutSpec, Step, steps_of
from slipway.rollout.status import (
    KEPT,
    Colour,
    Finished,
    Intent,
    Observed,
    Phase,
    Reason,
    Rejection,
    Revision,
    RolloutStatus,
)

HEAL_AFTER: Final = 6.0
"""Seconds a router may disagree before it is made to load a fresh configuration."""
SETTLES_WITHIN: Final = 3.0
"""Seconds in which a router usually follows the annotation; until then a difference is not worth a word."""
VERIFY_WITHIN: Final = 60.0
"""Seconds of disagreement after which a shift is paused."""
UNREADY_GRACE: Final = 20.0
"""Seconds that a colour under test may have too few ready pods."""
EVERYTHING: Final = 100


@dataclass(frozen=True, slots=True)
class Context:
    """What the rules look at."""

    rollout: Rollout
    seen: Observation
    now: float

    @property
    def spec(self) -> RolloutSpec:
        """What is asked for."""
        return self.rollout.spec

    @property
    def status(self) -> RolloutStatus:
        """What has been written; nothing else may be acted upon."""
        return self.rollout.status

    @property
    def steps(self) -> tuple[Step, ...]:
        """The weights to go through."""
        return steps_of(self.spec)

    @property
    def step(self) -> Step:
        """The present step; the last one when a changed spec has fewer."""
        steps = self.steps
        return steps[min(self.status.step, len(steps) - 1)]

    @property
    def need(self) -> int:
        """Pods that carry the whole load: the floor, or what the autoscaler has made of the stable colour."""
        stable = self.status.stable
        return self.spec.replicas if stable is None else max(self.spec.replicas, self.view(stable).replicas)

    def view(self, revision: Revision | None) -> ColourView:
        """Return the pods of a revision's colour; none of them are ready when the colour carries another revision."""
        if revision is None:
            return ColourView()
        found = self.seen.colours[revision.colour]
        return found if found.revision == revision.hash else replace(found, ready=0)

    def workers(self, revision: Revision | None) -> WorkersView:
        """Return the workers of a revision; none of them are ready when the colour's are another revision's."""
        if revision is None or not revision.workers:
            return WorkersView()
        found = self.seen.colours[revision.colour].workers
        return found if found.revision == revision.hash else replace(found, ready=0, crash_looping=False)

    def workers_ready(self, revision: Revision | None) -> bool:
        """Return whether a revision has all of its workers; one without any lacks none."""
        if revision is None or not revision.workers:
            return True
        found, asked = self.workers(revision), self.spec.workers
        # Those that a queue has added may find no room: no version is refused for that.
        return found.revision == revision.hash and found.ready >= (found.replicas if asked is None else asked.replicas)

    @property
    def workers_need(self) -> int:
        """Workers that carry all messages: the floor, or what those that wait ask for."""
        asked = self.spec.workers
        if asked is None:
            return 0
        if asked.autoscaling is None:
            return asked.replicas
        present = self.workers(self.status.stable).replicas
        return backlog.workers(asked.autoscaling, least=asked.replicas, present=present, waiting=self.seen.waiting)

    def workers_asked(self, revision: Revision) -> int:
        """Return how many workers a revision shall have; when the spec says it no more, as many as there are."""
        if not revision.workers:
            return 0
        kept = self.spec.workers is None
        return self.seen.colours[revision.colour].workers.replicas if kept else self.workers_need

    def workers_crash(self, revision: Revision) -> bool:
        """Return whether a revision's workers crash again and again, and none of them lives."""
        found = self.workers(revision)
        return found.crash_looping and found.ready == 0

    def weight(self) -> int:
        """Return the percent intended for the candidate."""
        return 0 if self.status.intent is None else self.status.intent.candidate_weight

    def candidate_share(self) -> int:
        """Return how many pods the candidate needs for the step that is being prepared, or for what it has."""
        wanted = EVERYTHING if self.status.stable is None else max(self.step.weight, self.weight())
        return weights.replicas_for(wanted, self.need)

    def annotated(self) -> bool:
        """Return whether the cluster holds the intended weights, written by us under this leadership."""
        intent, found = self.status.intent, self.seen.annotation
        return (
            intent is not None
            and found is not None
            and found.ours
            and found.weights == (intent.blue, intent.green)
            and found.initial == intent.initial
            and found.fence == self.seen.epoch
        )

    def routers_agree(self) -> bool:
        """Return whether every Ready router answered and holds what the intent leads to; silence is no agreement.

        A router shows its weight for a colour only while it knows servers of it. Without them its agreement counts
        only after the time in which routers follow.
        """
        intent = self.status.intent
        if intent is None or not self.seen.routers:
            return False
        followed = self.now - intent.since >= SETTLES_WITHIN
        return all(
            view is not None
            and router_agrees(intent, view)
            and (followed or bool(self.status.stable is None or (view.blue_servers and view.green_servers)))
            for view in self.seen.routers.values()
        )

    def routers_disagree(self) -> bool:
        """Return whether a router answered and holds something else."""
        intent = self.status.intent
        return intent is not None and any(
            view is not None and not router_agrees(intent, view) for view in self.seen.routers.values()
        )

    def without_weight(self, colour: Colour) -> bool:
        """Return whether every Ready router answered and gives this colour nothing."""
        views = self.seen.routers.values()
        return bool(views) and all(view is not None and weight_of(view, colour) == 0 for view in views)

    def drained(self, colour: Colour) -> bool:
        """Return whether no router has a request open on this colour."""
        return self.without_weight(colour) and all(
            view is not None and view.open_requests.get(colour, 0) == 0 for view in self.seen.routers.values()
        )

    def observed(self) -> Observed:
        """Return the mean split over the routers, for people to read."""
        views = [view for view in self.seen.routers.values() if view is not None]
        shares = [EVERYTHING * view.green / total for view in views if (total := view.blue + view.green)]
        green = round(sum(shares) / len(shares), 3) if shares else 0.0
        blue = round(EVERYTHING - green, 3) if shares else 0.0
        return Observed(blue=blue, green=green, routers=len(views), at=self.now)

    def intend(self, percent: int) -> Intent | None:
        """Return the intent for a share of the candidate, or None while a colour that shall serve has no ready pod."""
        candidate, stable = self.status.candidate, self.status.stable
        serving = candidate or stable
        if serving is None:
            return None
        candidate_ready = self.view(candidate).ready
        stable_ready = self.view(stable).ready
        if (percent > 0 and candidate_ready < 1) or (percent < EVERYTHING and stable_ready < 1):
            return None
        pair = weights.plan(percent, stable_ready, candidate_ready)
        colour = candidate.colour if candidate is not None else serving.colour.other
        by_colour = {colour: pair.candidate, colour.other: pair.stable}
        return Intent(
            candidate_weight=percent,
            blue=by_colour[Colour.BLUE],
            green=by_colour[Colour.GREEN],
            initial=weights.INITIAL if self.status.intent is None else self.status.intent.initial,
            since=self.now,
            routers={name: view.process for name, view in self.seen.routers.items() if view is not None},
        )

    def go(self, phase: Phase, event: str, **changes: Any) -> Write:
        """Return the write that enters a phase: the timers start anew, everything else stays unless named."""
        fresh: dict[str, Any] = {
            "phase": phase,
            "message": event,
            "since": self.now,
            "deadline": None,
            "until": None,
            "gate": "",
            "observed_generation": self.rollout.generation,
        }
        return Write(replace(self.status, **(fresh | changes)), event)

    def stay(self, event: str, **changes: Any) -> Write:
        """Return a write within the present phase; its timers go on."""
        return Write(replace(self.status, observed_generation=self.rollout.generation, **changes), event)

    def progress_deadline(self) -> float:
        """Return the moment at which a phase that begins now has taken too long."""
        return self.now + self.spec.progress_deadline

    def pause(self, reason: Reason, event: str, **changes: Any) -> Write:
        """Return the write that pauses here, to be resumed by a person, or rolled back when nobody comes."""
        status = self.status
        waits = reason not in {Reason.OPERATOR, Reason.BREAK_GLASS}
        gate = f"resume-{status.pauses + 1}"
        update: dict[str, Any] = {
            "reason": reason,
            "pauses": status.pauses + 1,
            "resume_to": status.phase,
            "gate": gate,
            "until": self.now + self.spec.pause_timeout if waits else None,
        }
        return self.go(Phase.PAUSED, event, **(update | changes))

    def rejection(self, revision: Revision, reason: Reason, by: str) -> tuple[Rejection, ...]:
        """Return the list of refused revisions with this one added."""
        entry = Rejection(revision=revision.hash, reason=reason, by=by, at=self.now)
        others = [found for found in self.status.rejected if found.revision != revision.hash]
        return (*others, entry)[-KEPT:]

    def finished(self, revision: Revision, result: str) -> tuple[Finished, ...]:
        """Return the history with one more line."""
        line = Finished(
            revision=revision.hash,
            image=revision.image,
            number=revision.number,
            result=result,
            started=self.status.started,
            finished=self.now,
        )
        return (*self.status.history, line)[-KEPT:]


def weight_of(view: RouterView, colour: Colour) -> int:
    """Return the weight one router gives to a colour."""
    return view.blue if colour is Colour.BLUE else view.green


def router_agrees(intent: Intent, view: RouterView) -> bool:
    """Return whether one router holds the split that the annotation leads to, for the servers it knows."""
    total = view.blue + view.green
    if total == 0:
        return False
    share = EVERYTHING * view.green / total
    pair = weights.rebalance(((intent.blue, view.blue_servers), (intent.green, view.green_servers)), intent.initial)
    expected = weights.share_of(pair[0], view.blue_servers, pair[1], view.green_servers)
    percent = 0 if intent.green == 0 else EVERYTHING if intent.blue == 0 else 50
    return weights.agrees(percent, expected, share)


def reloaded(before: str, after: str) -> bool:
    """Return whether the router's worker is another one although its container was not restarted.

    A process is named `restarts/pid`.
    """
    return before != after and before.partition("/")[0] == after.partition("/")[0]
