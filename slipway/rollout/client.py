"""What people and pipelines do with a Rollout: start, approve, abort, roll back, follow. The cluster does the rest.

A client only writes wishes into the spec and reads the status; it can die at any point and attach again. Who asks is
asked of the API server, and admission checks it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from slipway.rollout import resource
from slipway.rollout.api import ROLLOUTS, Api, path_of
from slipway.rollout.fields import format_moment
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import Commit
from slipway.rollout.status import AFTER_PROMOTION, UNDER_TEST, Finished, Phase, Reason, RolloutStatus

WHO_AM_I: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
BY_DIGEST: Final = re.compile(r"[a-z0-9][a-z0-9._:/-]*@(sha256:[0-9a-f]{64})")
SETTLED: Final = frozenset({Phase.DRAINING, Phase.WARM_STANDBY, Phase.CONTRACT, Phase.DONE})


class ExitCode(IntEnum):
    """What `slipway rollout ... --wait` exits with; 2 is wrong usage."""

    PROMOTED = 0
    ROLLED_BACK = 1
    USAGE = 2
    PAUSED = 3
    UNREACHABLE = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """That was asked for.

    Attributes:
        generation: of the object that says so.
        after: number of a version with the same image that was refused before, and is no answer; 0: none.
    """

    generation: int
    after: int = 0


class UsageError(Exception):
    """What was asked for makes no sense now; the text says what does."""


def digest_of(image: str) -> str:
    """The digest (`sha256:...`) of an image that is named by it.

    Raises:
        UsageError: it is not named by a whole digest.
    """
    named = BY_DIGEST.fullmatch(image)
    if named is None:
        raise UsageError(
            f"{image!r} is not named by digest: write NAME@sha256:... (64 hexadecimal digits), a tag may change"
        )
    return named.group(1)


class Client:
    """One Rollout, seen from outside.

    Args:
        api: a connection, as whoever asks.
        namespace: of the Rollout.
        name: of the Rollout.
    """

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self.namespace = namespace
        self.name = name
        self._path = path_of(ROLLOUTS, namespace, "rollouts", name)

    async def status(self) -> Rollout:
        """Return the object as it is.

        Raises:
            UsageError: there is none of this name.
            Unavailable: the API server does not answer.
        """
        found = await self._api.get(self._path)
        if found is None:
            raise UsageError(f"there is no Rollout {self.name} in {self.namespace}; see `kubectl get rollouts -A`")
        return resource.parse(found)

    async def whoami(self) -> str:
        """Return the name under which the API server knows us."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._api.create(WHO_AM_I, body)
        return answer["status"]["userInfo"]["username"]

    async def start(self, image: str, *, attach: bool = False, commit: Commit | None = None) -> Wish:
        """Ask for an image, by digest. A version that was refused before gets another attempt.

        Args:
            image: which one.
            attach: if it is wanted already, ask for nothing: a pipeline that starts again learns how it went.
            commit: what it was built from; None also takes away what was said of the version before.

        Raises:
            UsageError: the image is not named by digest.
        """
        digest_of(image)
        rollout = await self.status()
        if attach and rollout.spec.image == image:
            return Wish(rollout.generation)
        built = None if commit is None else {"id": commit.id, "time": format_moment(commit.time)}
        change: dict[str, Any] = {"image": image, "commit": built}
        if refused := _refused(rollout.status, image):
            change["attempt"] = rollout.spec.attempt + 1
        await self._api.merge(self._path, {"spec": change})
        return Wish((await self.status()).generation, refused)

    async def approve(self, gate: str | None = None, *, reason: str = "") -> str:
        """Open the gate that is being waited for; return its name.

        Raises:
            UsageError: nothing waits, or another gate does.
        """
        rollout = await self.status()
        status = rollout.status
        revision = status.candidate or status.stable
        if not status.gate or revision is None:
            raise UsageError(f"{self.name} waits for no approval, it is in {status.phase}: {status.message}")
        if gate is not None and gate != status.gate:
            raise UsageError(f"{self.name} waits for {status.gate!r}, not for {gate!r}")
        order = {"revision": revision.hash, "gate": status.gate, "by": await self.whoami(), "reason": reason}
        await self._api.merge(self._path, {"spec": {"approve": order}})
        return status.gate

    async def abort(self, *, reason: str = "") -> str:
        """Take back the version under test; return its revision.

        Raises:
            UsageError: none is under test.
        """
        status = (await self.status()).status
        if status.candidate is None or not (status.phase in UNDER_TEST or status.phase is Phase.PAUSED):
            raise UsageError(
                f"{self.name} has no version under test, it is in {status.phase}; to take back a promoted one: rollback"
            )
        return await self._take_back(status.candidate.hash, reason)

    async def rollback(self, *, reason: str = "") -> str:
        """Take back the promoted version while the old one is warm; return its revision.

        Raises:
            UsageError: there is nothing to go back to; the text says what to do instead.
        """
        status = (await self.status()).status
        if status.candidate is not None:
            raise UsageError(f"{self.name} has a version under test ({status.phase}): abort it instead")
        if status.stable is None or status.standby is None or status.phase not in AFTER_PROMOTION:
            good = [line.image for line in status.history if line.result == "promoted"]
            older = next((image for image in reversed(good) if image != status.last_good_image), "IMAGE")
            raise UsageError(
                f"the rollback window of {self.name} is closed, no old version is warm; start it anew: "
                f"slipway rollout start --image {older}"
            )
        if status.past_contract == status.stable.hash:
            raise UsageError(f"{self.name} is past its contract migration: the old version cannot use the database")
        return await self._take_back(status.stable.hash, reason)

    async def _take_back(self, revision: str, reason: str) -> str:
        order = {"revision": revision, "by": await self.whoami(), "reason": reason}
        await self._api.merge(self._path, {"spec": {"abort": order}})
        return revision

    async def follow(
        self,
        *,
        patience: float = 60.0,
        every: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> AsyncIterator[Rollout]:
        """Yield the object whenever it has changed, for ever; an API server that is away is waited for.

        Args:
            patience: seconds without an answer after which it gives up.
            every: seconds between two questions.
            clock: monotonic seconds.
            sleep: waits so many seconds.

        Raises:
            Unavailable: nothing answered for so long.
        """
        version, answered = "", clock()
        while True:
            try:
                found = await self.status()
            except Unavailable:
                if clock() - answered > patience:
                    raise
            else:
                answered = clock()
                if found.version != version:
                    version = found.version
                    yield found
            await sleep(every)


def outcome(rollout: Rollout, image: str, wish: Wish) -> ExitCode | None:
    """Return how the rollout of an image ended, or None while it goes on. A gate for people is no end.

    Args:
        rollout: as read.
        image: which one is waited for.
        wish: that it be; what the controller said before is old.
    """
    status = rollout.status
    if status.observed_generation < wish.generation:
        return None
    stable = status.stable
    if status.phase in SETTLED and stable is not None and stable.image == image:
        return ExitCode.PROMOTED
    if status.reason is Reason.SERVICE_TAKEN or (status.phase is Phase.PAUSED and status.reason is not Reason.NONE):
        return ExitCode.PAUSED
    under_way = status.candidate is not None and status.candidate.image == image
    last = _last(status, image)
    refused = last is not None and last.number > wish.after and last.result.startswith("rolled back")
    if status.phase is Phase.ROLLED_BACK and refused and (under_way or status.candidate is None):
        return ExitCode.ROLLED_BACK
    superseded = status.candidate is not None and not under_way and rollout.spec.image != image
    return ExitCode.ROLLED_BACK if superseded else None


def event_of(rollout: Rollout) -> dict[str, Any]:
    """Return one line of `--json`: where the rollout stands, with plain values only."""
    status = rollout.status
    return {
        "time": status.since,
        "rollout": f"{rollout.namespace}/{rollout.name}",
        "phase": status.phase.value,
        "reason": status.reason.value,
        "message": status.message,
        "step": status.step,
        "gate": status.gate,
        "weight": None if status.intent is None else status.intent.candidate_weight,
        "observed": None if status.observed is None else {"blue": status.observed.blue, "green": status.observed.green},
        "stable": None if status.stable is None else status.stable.image,
        "candidate": None if status.candidate is None else status.candidate.image,
        "metrics": [
            {
                "name": metric.name,
                "verdict": metric.verdict.value,
                "value": metric.value,
                "samples": metric.samples,
                "message": metric.message,
            }
            for metric in status.metrics
        ],
    }


def _refused(status: RolloutStatus, image: str) -> int:
    """Number of the last version with this image if it was refused, else 0; it may be there while its pods go."""
    candidate, last = status.candidate, _last(status, image)
    if candidate is not None and candidate.image == image:
        return candidate.number if status.rejects(candidate.hash) else 0
    return last.number if last is not None and last.result.startswith("rolled back") else 0


def _last(status: RolloutStatus, image: str) -> Finished | None:
    return next((line for line in reversed(status.history) if line.image == image), None)
