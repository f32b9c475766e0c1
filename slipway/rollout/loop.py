"""One turn of the controller: read, look, read again, decide, and then either write or act.

The turn is a coroutine over `Ports`, so that the same code runs against a cluster and, step by step with faults between
any two steps, in the simulation of the tests.

Why it reads twice: everything that is acted upon (the Service, the Deployments) is looked at between the two readings
and carries its version into the action. If the status has not changed meanwhile, then whoever changes it later has a
newer look than ours, writes the Service under its own fence, and our late action is refused by its version.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from slipway.rollout.decide import at_rest, decide
from slipway.rollout.observation import Act, Action, Decision, Observation, Rollout, Wait, Write
from slipway.rollout.status import RolloutStatus

BUSY: Final = 1.0
"""Seconds between two looks while a rollout is under way."""
RESTING: Final = 5.0
"""Seconds between two looks otherwise; a changed object wakes the loop earlier."""
STANDBY: Final = 2.0
"""Seconds after which a controller that does not lead tries again."""


class Conflict(Exception):  # noqa: N818 - the API's word for it
    """Someone else changed the object since it was read; look again."""


class Unavailable(Exception):  # noqa: N818 - a state of the other side, not a mistake of ours
    """The API server, or what stands behind it, did not answer; nothing is known about what was asked."""


class Ports(Protocol):
    """The world as one rollout's turn sees it. Every method may raise `Unavailable`."""

    async def leadership(self) -> int | None:
        """Return the number of this leadership, rising with every change of the leader, or None when not leading."""
        ...

    async def read(self) -> Rollout | None:
        """Return the object as it is now (never from a cache), or None when it is gone."""
        ...

    async def look(self, rollout: Rollout, epoch: int) -> Observation:
        """Return everything `decide` needs besides the object."""
        ...

    async def write(self, rollout: Rollout, status: RolloutStatus, event: str) -> None:
        """Replace the status of exactly the version that was read.

        Raises:
            Conflict: the object has another version by now.
        """
        ...

    async def act(self, rollout: Rollout, action: Action) -> None:
        """Do one action.

        Raises:
            Conflict: the object acted upon has another version by now.
        """
        ...

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn came to: the decision (None when not leading, or overtaken), and when to look again in seconds."""

    decision: Decision | None
    again: float


async def turn(ports: Ports) -> Turn:  # noqa: PLR0911 - one return an outcome
    """Run one turn. Conflicts are the normal case of two writers and end the turn quietly.

    Raises:
        Unavailable: some side did not answer; look again later.
    """
    epoch = await ports.leadership()
    if epoch is None:
        return Turn(None, STANDBY)
    first = await ports.read()
    if first is None:
        return Turn(None, BUSY)
    seen = await ports.look(first, epoch)
    rollout = await ports.read()
    if rollout is None or rollout.version != first.version:
        return Turn(None, 0.0)
    decision = decide(rollout, seen, ports.now())
    try:
        match decision:
            case Write(status, event):
                await ports.write(rollout, status, event)
                return Turn(decision, 0.0)
            case Act(actions):
                for action in actions:
                    await ports.act(rollout, action)
                return Turn(decision, BUSY / 4)
            case Wait(until):
                longest = RESTING if at_rest(rollout) else BUSY
                return Turn(decision, longest if until is None else min(longest, max(0.0, until - ports.now())))
    except Conflict:
        return Turn(None, 0.0)
