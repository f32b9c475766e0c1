"""What the proof is played on: a service that a Rollout rolls out, and what can be broken around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from slipway.proof.clock import Clock, TookTooLongError, wait_until
from slipway.proof.faults import Fault
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout
from slipway.rollout.status import AFTER_PROMOTION, RESTING, Colour, Phase, Revision
from slipway.rollout.story import Moment

#: How often the state is asked for while something is waited for, in seconds: the shortest phases last as long.
EVERY: Final = 0.1


class Follower(Protocol):
    """A client that follows a rollout and can be killed."""

    def kill(self) -> None:
        """End it with signal 9."""
        ...


class Stage(Protocol):
    """A service under rollout, as people and pipelines see it."""

    @property
    def images(self) -> tuple[str, str]:
        """Two good images by digest; the proof goes from one to the other and back."""
        ...

    def rollout(self) -> Rollout:
        """The object now.

        Raises:
            Unavailable: the API server does not answer.
        """
        ...

    def record(self) -> Sequence[Moment]:
        """Every state from the present one on, a list that grows until the next call."""
        ...

    def start(self, image: str) -> None:
        """Ask for an image."""
        ...

    def start_attached(self, image: str) -> Follower:
        """Ask for an image by the command line, which then follows it."""
        ...

    def abort(self) -> None:
        """Take back the version under test."""
        ...

    def rollback(self) -> None:
        """Take back the promoted version."""
        ...

    def approve(self) -> None:
        """Open the gate that is waited for."""
        ...

    def spec(self) -> Mapping[str, Any]:
        """The spec as it stands, plain."""
        ...

    def change(self, spec: Mapping[str, Any]) -> None:
        """Merge a change into the spec; None takes a field away."""
        ...

    def misconfigure(self, faults: Mapping[str, object] | None) -> None:
        """Tell the next version to misbehave (`app/core/faults.py`), a new one each time; None takes that back."""
        ...

    def restart(self, colour: Colour) -> None:
        """Replace the pods of a colour one by one, and wait for the end."""
        ...

    def reloads(self) -> Mapping[str, float]:
        """Configurations that each router has loaded anew since it started, by pod."""
        ...


@dataclass(frozen=True)
class Setting:
    """Everything a scenario needs.

    Attributes:
        stage: the service.
        clock: waits and tells the time.
        victims: what can be killed: name -> makes the fault from what is there at that moment. Colours are those of
            the old and the new version.
        drain: drains the node with most pods of the service, and gives it back.
        without_protection: turns off ingress retries and preStop, and on again.
        whole: whether all that can be killed is ready: what was killed often waits minutes for its next start.
    """

    stage: Stage
    clock: Clock
    victims: Mapping[str, Callable[[Colour, Colour], Fault]]
    drain: Callable[[], Fault]
    without_protection: Callable[[], Fault]
    whole: Callable[[], bool]


def now(setting: Setting, within: float = 60.0) -> Rollout:
    """The object, asked for until the API server answers.

    Raises:
        TookTooLongError: it did not, for so long.
    """
    found: list[Rollout] = []

    def answered() -> bool:
        try:
            found.append(setting.stage.rollout())
        except Unavailable:
            return False
        return True

    wait_until(setting.clock, answered, what="an answer of the API server", within=within, every=EVERY)
    return found[-1]


def until(setting: Setting, done: Callable[[Rollout], bool], *, what: str, within: float) -> Rollout:
    """Wait until the object is as wanted; returns it.

    Raises:
        TookTooLongError: it never was; the message says where it stood at last.
    """
    begin = setting.clock.steady()
    while True:
        found = now(setting)
        if done(found):
            return found
        if setting.clock.steady() - begin > within:
            status = found.status
            raise TookTooLongError(
                f"waited {within:g} s for {what}; it stands in {status.phase.value} ({status.reason.value}): "
                f"{status.message}"
            )
        setting.clock.wait(EVERY)


def rests(rollout: Rollout) -> bool:
    """Whether a next rollout may begin from a quiet place."""
    return rollout.status.phase in RESTING and rollout.status.candidate is None


def serving(rollout: Rollout) -> Revision:
    """The version that serves.

    Raises:
        ValueError: none was ever promoted.
    """
    if rollout.status.stable is None:
        raise ValueError(f"no version of {rollout.name} has been promoted yet; `slipway rollout status` says why")
    return rollout.status.stable


def promoted(image: str) -> Callable[[Rollout], bool]:
    """Whether an image has become the stable version."""

    def answer(rollout: Rollout) -> bool:
        status = rollout.status
        there = status.stable is not None and status.stable.image == image
        return there and status.phase in AFTER_PROMOTION | {Phase.DONE}

    return answer


def ended(rollout: Rollout) -> bool:
    """Whether the wanted version has been promoted or refused."""
    return rollout.status.phase in AFTER_PROMOTION | RESTING
