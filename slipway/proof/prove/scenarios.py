"""The scenarios of the proof by name, which of them each form runs, and on how many requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from slipway.proof.prove import plays
from slipway.proof.prove.facts import Rules
from slipway.proof.prove.plays import Play


class Form(IntEnum):
    """How much of the proof is run; each holds the smaller ones."""

    SHORT = 0
    USUAL = 1
    FULL = 2


#: Requests a scenario is judged on, at least. 100,000 without a failure bound the rate below 1 in 21,700 (99 %).
REQUESTS: Final[Mapping[Form, int]] = {Form.SHORT: 2_000, Form.USUAL: 5_000, Form.FULL: 100_000}
CELL_REQUESTS: Final = 5_000
_ABORTS: Final[Mapping[Form, int]] = {Form.SHORT: 2, Form.USUAL: 8, Form.FULL: 8}
_MANY: Final = 100

#: What is killed -> in words.
VICTIMS: Final[Mapping[str, str]] = {
    "controller": "the controller that leads",
    "controllers": "both controllers",
    "client": "the command line that follows",
    "haproxy": "a HAProxy",
    "ingress-controller": "an ingress controller",
    "prometheus": "Prometheus",
    "app-old": "a pod of the old version",
    "app-new": "a pod of the new version",
    "apiserver": "the API server",
}
_USUAL_CELLS: Final = frozenset({"analysis", "rollback"})
_SHORT_CELLS: Final = frozenset({("controller", "analysis")})
_ROUTERS: Final = frozenset({"haproxy", "ingress-controller"})


@dataclass(frozen=True)
class Scenario:
    """One way in which a rollout can go.

    Attributes:
        name: as on the command line.
        about: one line for people.
        form: the smallest form that runs it.
        play: plays it, by form.
        rules: which bars it has.
        cell: what is killed and when, for the table; None for others.
    """

    name: str
    about: str
    form: Form
    play: Mapping[Form, Play]
    rules: Rules
    cell: tuple[str, str] | None = None

    def requests(self, form: Form) -> int:
        """Requests it is judged on in a form."""
        if self.rules.control:
            return 1
        return min(CELL_REQUESTS, REQUESTS[form]) if self.cell else REQUESTS[form]


def _every_form(play: Play) -> Mapping[Form, Play]:
    return dict.fromkeys(Form, play)


def _latency(analysis: Mapping[str, Any] | None) -> dict[str, Any]:
    """The service's own metrics, and one more of the same shape that judges latency."""
    metrics = list((analysis or {}).get("metrics", ()))
    shape = {name: value for name, value in (metrics[0] if metrics else {"interval": "5s", "count": 3}).items()
             if name in {"interval", "count", "minSamples", "initialDelay", "inconclusiveLimit"}}  # fmt: skip
    return {"metrics": [*metrics, {**shape, "name": "proof-latency", "source": "mean-latency", "maximum": 1.0}]}


_BACK: Final = Rules(ends="rolled back", bad=True)
_HARMLESS: Final = Rules(ends="rolled back")

_NAMED: Final = (
    Scenario("canary", "A good version is promoted step by step.", Form.SHORT, _every_form(plays.canary),
             Rules(split=True)),
    Scenario("rollback", "The promoted version is taken back.", Form.SHORT, _every_form(plays.rollback),
             Rules(ends="rolled back")),
    Scenario("aborts", "Versions are aborted at each step in turn.", Form.SHORT,
             {form: plays.aborts(count) for form, count in _ABORTS.items()}, Rules(ends="rolled back")),
    Scenario("many-aborts", f"{_MANY} versions are aborted, each at the first weight that it gets.", Form.FULL,
             _every_form(plays.quick_aborts(_MANY)), Rules(ends="rolled back")),
    Scenario("bad-errors", "Half of the new version's answers are errors.", Form.SHORT,
             _every_form(plays.bad({"error_rate": 0.5})), _BACK),
    Scenario("blue-green", "Everything is switched at once, and back.", Form.USUAL, _every_form(plays.blue_green),
             Rules(ends="rolled back")),
    Scenario("bad-latency", "The new version takes two seconds longer for each answer.", Form.USUAL,
             _every_form(plays.bad({"latency_seconds": 2.0}, change={"analysis": _latency})), _BACK),
    Scenario("bad-crash", "The new version ends as soon as it has started.", Form.USUAL,
             _every_form(plays.bad({"crash_after_seconds": 0})), _HARMLESS),
    Scenario("bad-never-ready", "The new version never becomes ready.", Form.USUAL,
             _every_form(plays.bad({"never_ready": True}, change={"progressDeadline": "60s"})), _HARMLESS),
    Scenario("restart", "Every pod is replaced, one after the other.", Form.USUAL, _every_form(plays.restart),
             Rules(ends="unchanged")),
    Scenario("node-drain", "The busiest node is drained in mid-rollout.", Form.USUAL, _every_form(plays.drain),
             Rules(ends="either", reloads=False)),
)  # fmt: skip

_CONTROLS: Final = (
    Scenario("control-unprotected", "Pods are killed while ingress retries and preStop are off: must fail.", Form.SHORT,
             _every_form(plays.unprotected), Rules(ends="unchanged", control=True)),
)  # fmt: skip


def _cells() -> tuple[Scenario, ...]:
    found: list[Scenario] = []
    for victim, words in VICTIMS.items():
        for moment in plays.MOMENTS:
            form = Form.USUAL if moment in _USUAL_CELLS else Form.FULL
            if (victim, moment) in _SHORT_CELLS:
                form = Form.SHORT
            play = plays.client_killed(moment) if victim == "client" else plays.killed(victim, moment)
            rules = Rules(
                ends="either",
                reloads=victim not in _ROUTERS,
                unkeyed_apart=victim.startswith("app-"),
                in_flight=victim in _ROUTERS,
            )
            found.append(
                Scenario(f"kill-{victim}-{moment}", f"kill -9 of {words}: {moment}", form, _every_form(play), rules,
                         cell=(victim, moment))
            )  # fmt: skip
    return tuple(found)


#: Every scenario, in the order in which they are played.
SCENARIOS: Final[Mapping[str, Scenario]] = {one.name: one for one in (*_NAMED, *_cells(), *_CONTROLS)}


def chosen(form: Form, only: tuple[str, ...] = ()) -> tuple[Scenario, ...]:
    """The scenarios of a form, or those named; a named one is played whatever the form.

    Raises:
        ValueError: a name is unknown.
    """
    if unknown := sorted(set(only) - SCENARIOS.keys()):
        raise ValueError(f"there is no scenario {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    return tuple(one for one in SCENARIOS.values() if (one.name in only if only else one.form <= form))
