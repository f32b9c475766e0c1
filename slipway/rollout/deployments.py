"""Deployments: one for each rollout that has ended, from which the four keys of delivery are counted. Pure.

The keys are those of DORA (https://dora.dev/guides/dora-metrics-four-keys/): how often, how long from commit to users,
how many of the changes failed, how long until users were well again. docs/reference/metrics.md says how each is taken.
"""

from dataclasses import dataclass
from enum import StrEnum

from slipway.rollout.observation import Rollout
from slipway.rollout.status import Phase, Reason, Revision, RolloutStatus


class Result(StrEnum):
    """How a deployment ended."""

    PROMOTED = "promoted"
    """It became the stable version."""
    FAILED = "failed"
    """It was taken back while users' requests were moving to it."""
    REVERTED = "reverted"
    """It was taken back after it had become the stable version; it has been counted as promoted before."""
    UNSEEN = "unseen"
    """It was taken back before any user's request could reach it."""
    SUPERSEDED = "superseded"
    """Another version was wanted before it had ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The end of one.

    Attributes:
        result: How it ended.
        revision: Which version it was about; None if nothing tells any more.
        commit: What that was built from; empty if nobody said.
        lead: Seconds from commit to promotion; None unless promoted and the commit's time is known.
        restore: Seconds from the first request that it could get until every router had taken the last one from it;
            None unless it failed or was reverted.
    """

    result: Result
    revision: Revision | None
    commit: str = ""
    lead: float | None = None
    restore: float | None = None


def ended(before: Rollout, after: RolloutStatus) -> Deployment | None:
    """The deployment that ends by a write, or None if it ends none.

    Args:
        before: The object as it was.
        after: Its status as it was written.
    """
    if before.status.phase is after.phase:
        return None
    if after.phase is Phase.PROMOTED:
        return _promoted(before, after)
    if after.phase is Phase.ROLLED_BACK:
        return _taken_back(before, after)
    return None


def _promoted(before: Rollout, after: RolloutStatus) -> Deployment | None:
    # A pause of a promoted version ends in Promoted again: the moment of the promotion tells them apart.
    if after.stable is None or after.promoted is None or before.status.promoted is not None:
        return None
    commit = before.spec.commit
    if commit is None or before.spec.image != after.stable.image:
        return Deployment(result=Result.PROMOTED, revision=after.stable)
    # Clocks differ: a commit "from the future" took no time.
    lead = max(0.0, after.promoted - commit.time)
    return Deployment(result=Result.PROMOTED, revision=after.stable, commit=commit.id, lead=lead)


def _taken_back(before: Rollout, after: RolloutStatus) -> Deployment:
    revision, exposed = after.candidate or before.status.candidate, after.exposed
    commit = before.spec.commit
    known = commit is not None and revision is not None and before.spec.image == revision.image
    told = commit.id if commit is not None and known else ""
    if after.promoted is None and after.reason is Reason.SUPERSEDED:
        return Deployment(result=Result.SUPERSEDED, revision=revision, commit=told)
    if exposed is None:
        return Deployment(result=Result.UNSEEN, revision=revision, commit=told)
    result = Result.FAILED if after.promoted is None else Result.REVERTED
    return Deployment(result=result, revision=revision, commit=told, restore=max(0.0, after.since - exposed))


def fields(namespace: str, name: str, deployment: Deployment) -> dict[str, object]:
    """The one line of the log that tells of a deployment: kept longer than figures, and with what it was about."""
    revision = deployment.revision
    return {
        "event.kind": "event",
        "event.action": "deployment",
        "event.outcome": "success" if deployment.result is Result.PROMOTED else "failure",
        "namespace": namespace,
        "rollout": name,
        "result": deployment.result.value,
        "revision": "" if revision is None else revision.hash,
        "image": "" if revision is None else revision.image,
        "commit": deployment.commit,
        "lead.seconds": deployment.lead,
        "restore.seconds": deployment.restore,
    }
