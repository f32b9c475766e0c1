"""The scenarios as people and pipelines would play them. Each starts from a quiet place and leaves one."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from slipway.proof.faults import Fault, injected
from slipway.proof.prove.facts import Facts
from slipway.proof.prove.stage import EVERY, Setting, ended, now, promoted, rests, serving, until
from slipway.proof.timeline import Kind, Timeline
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import steps_of
from slipway.rollout.status import Colour, Phase, Reason

Play: TypeAlias = Callable[[Setting, Timeline, Facts], None]

#: Seconds until a rollout has certainly ended; the scenario fails after it: a rollout is never stuck.
LONGEST: Final = 600.0
_QUIET: Final = 900.0
_SOON: Final = 120.0
#: Aborted versions need not stay long: it is the way back that is measured.
_SHORT_DELAY: Final = "5s"
_LEFT_OUT: Final = ("analysis", "preview", "migrations", "scaleDownDelay")
#: Approvals that a proof gives before it calls a rollout stuck.
_PATIENCE: Final = 5


def other_image(setting: Setting, rollout: Rollout) -> str:
    """The one of the two images that does not serve."""
    first, second = setting.stage.images
    return second if serving(rollout).image == first else first


def quiet(setting: Setting) -> Rollout:
    """Wait until the last rollout has wholly ended."""
    return until(setting, rests, what="the last rollout to end", within=_QUIET)


def canary(setting: Setting, timeline: Timeline, facts: Facts) -> None:
    """A good version is promoted step by step."""
    image = _begin(setting, timeline, facts)
    _to_the_end(setting, timeline, facts, image)


def rollback(setting: Setting, timeline: Timeline, facts: Facts) -> None:
    """The promoted version is taken back while the old one is warm; without one, a version is promoted first."""
    if now(setting).status.standby is None:
        canary(setting, timeline, facts)
    before = until(setting, lambda it: it.status.standby is not None and rests(it), what="a warm version", within=_SOON)
    standby = before.status.standby
    assert standby is not None  # noqa: S101 -- waited for in the line above
    facts.old, facts.new = serving(before).colour.value, standby.colour.value
    timeline.mark("rollback")
    asked = _unix(setting)
    setting.stage.rollback()
    found = until(
        setting,
        lambda it: it.status.stable is not None and it.status.stable.image == standby.image and _confirmed(it, asked),
        what="the old version to serve again",
        within=LONGEST,
    )
    _note_return(facts, found, asked)
    facts.ended = "rolled back"


def blue_green(setting: Setting, timeline: Timeline, facts: Facts) -> None:
    """Everything is switched to the new version at once, and back."""
    before = setting.stage.spec().get("strategy", {})
    setting.stage.change({"strategy": {"canary": None, "blueGreen": {"approval": False}}})
    try:
        canary(setting, timeline, facts)
        quiet(setting)
        rollback(setting, timeline, facts)
    finally:
        setting.stage.change({"strategy": {"blueGreen": None, "canary": None, **before}})


def aborts(count: int) -> Play:
    """Versions are aborted at each step in turn, `count` times."""

    def play(setting: Setting, timeline: Timeline, facts: Facts) -> None:
        steps = len(steps_of(now(setting).spec))
        saved = setting.stage.spec().get("scaleDownDelay")
        setting.stage.change({"scaleDownDelay": _SHORT_DELAY})
        try:
            stayed = [
                _abort(
                    setting, timeline, facts, number % steps, told=f"step {number % steps + 1}, {number + 1} of {count}"
                )
                for number in range(count)
            ]
        finally:
            setting.stage.change({"scaleDownDelay": saved})
        facts.ended = "rolled back" if all(stayed) else "promoted"

    return play


def quick_aborts(count: int) -> Play:
    """As many versions are aborted, each at the first weight that it gets: that of each step in turn.

    What takes time and is not the way back is left out meanwhile: migrations, the preview's check, the analysis and the
    steps before. Each is a whole rollout for all that, with pods of its own, and ends as any other that is aborted.
    """

    def play(setting: Setting, timeline: Timeline, facts: Facts) -> None:
        weights = [step.weight for step in steps_of(quiet(setting).spec)]
        spec = setting.stage.spec()
        saved = {name: spec.get(name) for name in _LEFT_OUT}
        setting.stage.change({**dict.fromkeys(_LEFT_OUT), "scaleDownDelay": "1s"})
        stayed: list[bool] = []
        try:
            for number in range(count):
                weight = weights[number % len(weights)]
                step = {"weight": weight, "pause": f"{LONGEST:g}s"}
                setting.stage.change({"strategy": {"blueGreen": None, "canary": {"steps": [step]}}})
                stayed.append(_abort(setting, timeline, facts, 0, told=f"{weight} %, {number + 1} of {count}"))
        finally:
            setting.stage.change({**saved, "strategy": {"blueGreen": None, "canary": None, **spec.get("strategy", {})}})
        facts.ended = "rolled back" if all(stayed) else "promoted"

    return play


def bad(faults: Mapping[str, object], *, change: Mapping[str, Any] | None = None) -> Play:
    """A version that misbehaves goes back by itself; `change` is merged into the spec for as long."""

    def play(setting: Setting, timeline: Timeline, facts: Facts) -> None:
        before = quiet(setting)
        _colours(facts, before)
        saved = {name: setting.stage.spec().get(name) for name in change or {}}
        setting.stage.change(_grown(change or {}, setting.stage.spec()))
        timeline.mark("a bad version", Kind.FAULT)
        setting.stage.misconfigure(faults)
        try:
            until(setting, lambda it: not rests(it), what="the bad version to be tried", within=_SOON)
            found = until(setting, lambda it: it.status.phase is Phase.ROLLED_BACK or _serves_another(it, before),
                          what="the bad version to go back", within=LONGEST)  # fmt: skip
        finally:
            setting.stage.misconfigure(None)
            setting.stage.change(saved)
        facts.reason = found.status.reason.value
        facts.ended = "promoted" if _serves_another(found, before) else "rolled back"
        decided = [moment.rollout.status.since for moment in facts.moments
                   if moment.rollout.status.phase is Phase.ROLLING_BACK]  # fmt: skip
        if decided and found.status.observed is not None:
            facts.reverted.append(max(0.0, found.status.observed.at - min(decided)))

    return play


def restart(setting: Setting, timeline: Timeline, facts: Facts) -> None:
    """Every pod that serves is replaced, one after the other."""
    before = quiet(setting)
    _colours(facts, before)
    with timeline.span("rolling restart", Kind.FAULT):
        setting.stage.restart(serving(before).colour)
    _same(setting, facts, before)


def drain(setting: Setting, timeline: Timeline, facts: Facts) -> None:
    """The node with most pods of the service is drained in the middle of a rollout."""
    _through(setting, timeline, facts, _analysed, lambda _old, _new: setting.drain())


def killed(victim: str, moment: str) -> Play:
    """Something is killed with signal 9 at a moment of a rollout."""

    def play(setting: Setting, timeline: Timeline, facts: Facts) -> None:
        if victim not in setting.victims:
            facts.not_run = f"this cluster has no way to kill {victim}"
            return
        _through(setting, timeline, facts, MOMENTS[moment], setting.victims[victim], back=moment == "rollback")

    return play


def client_killed(moment: str) -> Play:
    """The command line that follows the rollout is killed."""

    def play(setting: Setting, timeline: Timeline, facts: Facts) -> None:
        before = quiet(setting)
        _colours(facts, before)
        image = other_image(setting, before)
        follower = setting.stage.start_attached(image)
        try:
            until(setting, MOMENTS[moment], what=moment, within=LONGEST)
            if moment == "rollback":
                setting.stage.abort()
        finally:
            timeline.mark("kill -9 the client", Kind.FAULT)
            facts.killed_at.append(_unix(setting))
            follower.kill()
        _to_any_end(setting, facts, image)

    return play


def unprotected(setting: Setting, timeline: Timeline, facts: Facts) -> None:
    """The control: pods of the serving version are killed while ingress retries and preStop are off."""
    before = quiet(setting)
    colour = serving(before).colour
    with injected(setting.without_protection(), timeline):
        for _ in range(2):
            with injected(setting.victims["app-old"](colour, colour.other), timeline):
                setting.clock.wait(5.0)
    _same(setting, facts, before)


def _abort(setting: Setting, timeline: Timeline, facts: Facts, step: int, *, told: str) -> bool:
    """Start a version and abort it at a step; returns whether the old one stayed."""
    image = _begin(setting, timeline, facts)
    until(setting, lambda it: _judged(it, step), what=f"step {step + 1}", within=LONGEST)
    timeline.mark(f"abort at {told}")
    asked = _unix(setting)
    setting.stage.abort()
    found = until(setting, lambda it: _confirmed(it, asked), what="the old weights", within=LONGEST)
    _note_return(facts, found, asked)
    return serving(quiet(setting)).image != image


def _unix(setting: Setting) -> float:
    return setting.clock.now().timestamp()


def _judged(rollout: Rollout, step: int) -> bool:
    return rollout.status.phase is Phase.ANALYSING and rollout.status.step == step


def _analysed(rollout: Rollout) -> bool:
    return rollout.status.step >= 1 and rollout.status.phase is Phase.ANALYSING


_WITH_WEIGHT: Final = frozenset({Phase.SHIFTING, Phase.VERIFYING, Phase.ANALYSING})

#: Moment of a rollout -> how it is recognised. "rollback" is reached by an abort in the second step.
MOMENTS: Final[Mapping[str, Callable[[Rollout], bool]]] = {
    "preview": lambda it: it.status.phase is Phase.PREVIEW,
    "shift": lambda it: it.status.step >= 1 and it.status.phase in _WITH_WEIGHT,
    "analysis": _analysed,
    "draining": lambda it: it.status.phase in {Phase.PROMOTED, Phase.SOAK, Phase.DRAINING},
    "rollback": _analysed,
}


def _through(
    setting: Setting,
    timeline: Timeline,
    facts: Facts,
    moment: Callable[[Rollout], bool],
    fault: Callable[[Colour, Colour], Fault],
    *,
    back: bool = False,
) -> None:
    before = quiet(setting)
    _colours(facts, before)
    image = other_image(setting, before)
    setting.stage.start(image)
    until(setting, moment, what="the moment of the fault", within=LONGEST)
    colour = serving(before).colour
    if back:
        timeline.mark("abort")
        setting.stage.abort()
    facts.killed_at.append(_unix(setting))
    with injected(fault(colour, colour.other), timeline):
        setting.clock.wait(EVERY)
    _to_any_end(setting, facts, image)


def _begin(setting: Setting, timeline: Timeline, facts: Facts) -> str:
    before = quiet(setting)
    _colours(facts, before)
    image = other_image(setting, before)
    timeline.mark("start")
    setting.stage.start(image)
    # The controller may say that it has seen the wish before it acts: the last end would be taken for one of this.
    until(setting, lambda it: it.status.candidate is not None or serving(it).image == image,
          what="the new version to be tried", within=_SOON)  # fmt: skip
    return image


def _to_the_end(setting: Setting, timeline: Timeline, facts: Facts, image: str) -> None:
    _to_any_end(setting, facts, image)
    timeline.mark(facts.ended)


def _to_any_end(setting: Setting, facts: Facts, image: str) -> None:
    """Wait for an end. A pause waits for a person: the proof is one, and counts how often it was needed."""
    seen = until(setting, lambda it: it.spec.image == image and it.status.observed_generation >= it.generation,
                 what="the controller to see the wish", within=_SOON)  # fmt: skip
    while True:
        seen = until(
            setting,
            lambda it: (ended(it) and it.status.candidate is None) or _paused(it),
            what="an end",
            within=LONGEST,
        )
        if not _paused(seen) or facts.approvals >= _PATIENCE:
            break
        facts.approvals += 1
        setting.stage.approve()
        until(setting, lambda it: not _paused(it), what="the approval to count", within=_SOON)
    facts.reason = seen.status.reason.value
    if promoted(image)(seen):
        facts.ended = "promoted"
    elif _paused(seen):
        facts.ended = "paused"
    else:
        facts.ended = "rolled back"


def _paused(rollout: Rollout) -> bool:
    return rollout.status.phase is Phase.PAUSED and rollout.status.reason is not Reason.NONE


def _colours(facts: Facts, before: Rollout) -> None:
    facts.old, facts.new = serving(before).colour.value, serving(before).colour.other.value


def _same(setting: Setting, facts: Facts, before: Rollout) -> None:
    same = serving(now(setting)).hash == serving(before).hash
    facts.ended = "unchanged" if same else "another version serves"


def _serves_another(rollout: Rollout, before: Rollout) -> bool:
    return serving(rollout).hash != serving(before).hash


def _confirmed(rollout: Rollout, since: float) -> bool:
    """Whether every router has confirmed weights that were asked for after a moment."""
    status = rollout.status
    intent, observed = status.intent, status.observed
    if intent is None or observed is None or intent.candidate_weight != 0 or observed.at < since:
        return False
    return min(observed.blue, observed.green) == 0


def _note_return(facts: Facts, found: Rollout, asked: float) -> None:
    observed = found.status.observed
    assert observed is not None  # noqa: S101 -- `_confirmed` has looked
    facts.reverted.append(max(0.0, observed.at - asked))


def _grown(change: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """A change whose functions are given what stands there now."""
    return {name: value(spec.get(name)) if callable(value) else value for name, value in change.items()}
