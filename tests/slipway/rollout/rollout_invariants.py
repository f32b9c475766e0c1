"""What must hold at every moment of every simulated schedule. A broken one raises `Broken` with the moment and why."""

from typing import Any

from rollout_world import FOLLOWS_WITHIN, World

from slipway.rollout.observation import ApplyColour, SetWeights
from slipway.rollout.status import UNDER_TEST, Colour, Phase, RolloutStatus

STALE = 12.0
"""Longest time between a look and the action that follows it: the lease, and a turn of the next leader."""

UNSEEN = 0.5
"""Seconds in which something may happen between a look and the action that follows it, and so go unseen."""


class Broken(AssertionError):  # noqa: N818 - what it says of an invariant
    """An invariant does not hold."""


class Invariants:
    """Watches a world. Knows the truth, which the controller only sees through its looks."""

    def __init__(self) -> None:
        self.intents: set[tuple[int, int, int]] = set()
        self.last_ready: dict[tuple[Colour, str], float] = {}
        self.last_weight: dict[Colour, float] = {}
        self.weight_began: dict[Colour, float] = {}
        self.last_empty: dict[Colour, float] = {}
        self.agreed: dict[str, tuple[tuple[int, int], float]] = {}
        self.dark_since: float | None = None
        self.promoted: set[str] = set()
        self.idle_since: float | None = None
        self.foreign_since: float | None = None

    def after_time(self, world: World) -> None:
        for colour, pods in world.pods.items():
            if world.ready(colour):
                self.last_ready[colour, pods.revision] = world.time
            else:
                self.last_empty[colour] = world.time
        dark = False
        live = world.live_routers()
        for name, router in live.items():
            serving = world.serving(router)
            for colour, weight in serving.items():
                if weight > 0:
                    if world.time - self.last_weight.get(colour, -STALE) > 1.0:
                        self.weight_began[colour] = world.time
                    self.last_weight[colour] = world.time
            self.agreed[name] = (router.weights, world.time)
            dark = dark or (router.weights != (0, 0) and sum(serving.values()) == 0)
        if len(live) < len(self.agreed):
            self.agreed = {name: found for name, found in self.agreed.items() if name in live}
        self.watch_dark(world, dark=dark)
        self.watch_workers(world)

    def watch_workers(self, world: World) -> None:
        """Messages: of a promoted version only, of one version but for the handover, and never of none for long."""
        consuming = [colour for colour in Colour if world.consumes(colour)]
        for colour in consuming:
            revision = world.workers[colour].revision
            if revision not in self.promoted:
                raise Broken(f"the workers of {revision} consume, and it was never promoted")
        if len(consuming) > 1 and world.time - world.switched > FOLLOWS_WITHIN + UNSEEN:
            raise Broken(f"both colours consume, {world.time - world.switched:.1f} s after the switch was turned")
        stable = world.status.stable
        works = stable is not None and stable.workers and not world.nature(stable.hash).chokes
        if stable is None or not works or world.time < world.api_down_until:
            self.idle_since = self.foreign_since = None
            return
        self.idle_since = self.lasting(world, self.idle_since, now=not consuming, what="nobody consumes")
        foreign = stable.colour not in consuming and bool(consuming)
        self.foreign_since = self.lasting(world, self.foreign_since, now=foreign, what="an old version alone consumes")

    def lasting(self, world: World, since: float | None, *, now: bool, what: str) -> float | None:
        if not now:
            return None
        since = world.time if since is None else since
        if world.time - max(since, world.disturbed) > 2 * STALE:
            raise Broken(f"{what} since {since:.1f}")
        return since

    def watch_dark(self, world: World, *, dark: bool) -> None:
        """All weight on pods that are not ready, while others are: healed within a bound after the last fault."""
        alternative = dark and any(world.ready(colour) >= world.spec.replicas for colour in Colour)
        if not alternative or world.time < world.api_down_until or world.writer.startswith("kubectl"):
            self.dark_since = None
            return
        self.dark_since = world.time if self.dark_since is None else self.dark_since
        if world.time - max(self.dark_since, world.disturbed) > 2 * STALE:
            raise Broken(f"no request was answered since {self.dark_since:.1f} although ready pods exist")

    def on_weights(self, world: World, action: SetWeights) -> None:
        pair = (action.blue, action.green, action.initial)
        if pair not in self.intents:
            raise Broken(f"weights {pair} were set without a written intent")
        if action.blue + action.green <= 0 or not (0 <= action.blue <= 256 and 0 <= action.green <= 256):
            raise Broken(f"weights {pair} are no split")
        before = world.annotated or (0, 0)
        for colour, old, new in zip(Colour, before, (action.blue, action.green), strict=True):
            if old == 0 and new > 0:
                seen = self.last_ready.get((colour, world.pods[colour].revision))
                if seen is None or world.time - seen > STALE:
                    raise Broken(f"{colour} got weight {new} and was last ready at {seen}, now {world.time:.1f}")

    def on_colour(self, world: World, action: ApplyColour) -> None:
        status = world.status
        stable = status.stable
        if stable is not None and stable.colour is action.colour and action.replicas < world.spec.replicas:
            raise Broken(f"stable {action.colour} was scaled to {action.replicas}")
        pods = world.pods[action.colour]
        replaced = bool(action.revision) and pods.revision not in {"", action.revision} and pods.replicas > 0
        if stable is None or not (action.replicas < pods.replicas or replaced):
            return
        if world.time - self.weight_began.get(action.colour, -STALE) < UNSEEN:
            return
        last = self.last_weight.get(action.colour)
        if last is not None and world.time - last < world.spec.scale_down_delay * 0.99:
            raise Broken(f"{action.colour} lost its pods {world.time - last:.1f} s after its last request")

    def on_write(self, world: World, before: RolloutStatus, after: RolloutStatus) -> None:
        if after.intent is not None:
            self.intents.add((after.intent.blue, after.intent.green, after.intent.initial))
        if after.stable is not None:
            self.promoted.add(after.stable.hash)
        self.no_lost_write(before, after)
        if after.phase is Phase.ANALYSING and before.phase is not Phase.ANALYSING:
            self.verified(world, before)
        if after.phase is Phase.PROMOTED and before.phase in UNDER_TEST and before.stable is not None:
            candidate = before.candidate
            if candidate is None or not world.nature(candidate.hash).good:
                raise Broken(f"{candidate} was promoted")

    def no_lost_write(self, before: RolloutStatus, after: RolloutStatus) -> None:
        gone_back = before.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
        same = before.candidate is not None and before.candidate == after.candidate
        if gone_back and same and after.phase in UNDER_TEST:
            raise Broken(f"{before.phase} was undone: {after.phase}")
        if before.intent is not None and after.intent is not None and after.intent.since < before.intent.since:
            raise Broken(f"the intent of {before.intent.candidate_weight} % was lost for an older one")
        for name in ("revisions", "pauses", "since", "started"):
            if getattr(after, name) < getattr(before, name):
                raise Broken(f"{name} went back from {getattr(before, name)} to {getattr(after, name)}")
        for name in ("approvals", "history", "rejected"):
            lost: list[Any] = [entry for entry in getattr(before, name)[-3:] if entry not in getattr(after, name)]
            if lost and len(getattr(after, name)) < 10 and name != "rejected":
                raise Broken(f"{name} lost {lost}")

    def verified(self, world: World, before: RolloutStatus) -> None:
        intent = before.intent
        if intent is None:
            raise Broken("analysing without an intent")
        if any(world.time - self.last_empty[colour] < STALE for colour in Colour if colour in self.last_empty):
            return  # a router's weights for a colour show only while it has servers
        for name, (weights, since) in self.agreed.items():
            fresh = world.time - world.routers[name].ready_from < STALE
            differs = weights[0] * intent.green != weights[1] * intent.blue
            if differs and not fresh and since >= intent.since:
                raise Broken(f"{name} holds {weights}, the step of {intent.candidate_weight} % is being judged")
