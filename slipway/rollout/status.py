"""What the controller knows and intends: the `status` of a Rollout.

Everything a new leader needs is here: the phase, the intent (written before anything is done), and timers as absolute
moments. Nothing is kept in the controller's memory that a restart would lose.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from slipway.rollout.fields import CONFIG, Moment

KEPT: Final = 10
"""How many approvals, rejections and finished revisions the status remembers."""


class Colour(StrEnum):
    """The two fixed halves of a service. They alternate; labels and selectors never change."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        """The colour that this one alternates with."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


class Phase(StrEnum):
    """Where a rollout stands."""

    PENDING = "Pending"
    PREFLIGHT = "Preflight"
    MIGRATING = "Migrating"
    PREVIEW = "Preview"
    APPROVAL = "Approval"
    SHIFTING = "Shifting"
    VERIFYING = "Verifying"
    ANALYSING = "Analysing"
    PROMOTED = "Promoted"
    SOAK = "Soak"
    DRAINING = "Draining"
    WARM_STANDBY = "WarmStandby"
    CONTRACT = "Contract"
    DONE = "Done"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    PAUSED = "Paused"


BEFORE_WEIGHT: Final = frozenset(
    {Phase.PENDING, Phase.PREFLIGHT, Phase.MIGRATING, Phase.PREVIEW, Phase.APPROVAL},
)
"""A candidate in these phases may have no weight yet (Approval also comes between steps)."""
UNDER_TEST: Final = BEFORE_WEIGHT | {Phase.SHIFTING, Phase.VERIFYING, Phase.ANALYSING}
"""The candidate is not promoted yet."""
AFTER_PROMOTION: Final = frozenset({Phase.PROMOTED, Phase.SOAK, Phase.DRAINING, Phase.WARM_STANDBY, Phase.CONTRACT})
"""The candidate has become stable and the old version is still there."""
RESTING: Final = frozenset({Phase.DONE, Phase.ROLLED_BACK, Phase.WARM_STANDBY})
"""A new revision may start from here."""


class Reason(StrEnum):
    """Why a rollout went back or was paused."""

    NONE = ""
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    ANALYSIS_FAILED = "AnalysisFailed"
    PREVIEW_FAILED = "PreviewFailed"
    MIGRATION_FAILED = "MigrationFailed"
    MIGRATION_UNSAFE = "MigrationUnsafe"
    PREFLIGHT_FAILED = "PreflightFailed"
    UNREADY = "CandidateUnready"
    CRASH_LOOP = "CrashLoop"
    DEADLINE = "ProgressDeadline"
    PAUSE_TIMEOUT = "PauseTimeout"
    DRY_RUN = "DryRun"
    INCONCLUSIVE = "Inconclusive"
    ROUTER_DISAGREES = "RouterDisagrees"
    SHIFT_RELOADS = "ShiftReloads"
    BREAK_GLASS = "BreakGlass"
    OPERATOR = "PausedByOperator"
    SERVICE_TAKEN = "ServiceTaken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One version of the pods: image, template and config together."""

    __pydantic_config__ = CONFIG
    hash: str
    image: str
    number: int
    colour: Colour
    workers: Annotated[bool, Field(description="Whether it has workers.")] = False

    @property
    def digest(self) -> str:
        """The image's digest, `sha256:` included."""
        return self.image.rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The weights that shall hold. Written before the router is touched; `blue` and `green` are what is annotated."""

    __pydantic_config__ = CONFIG
    candidate_weight: Annotated[int, Field(description="Percent for the version under test.")]
    blue: int
    green: int
    initial: Annotated[int, Field(description="HAProxy's full weight; changed only to force a fresh configuration.")]
    since: Moment
    attempt: int = 0
    routers: Annotated[dict[str, str], Field(description="Process of each router before the shift.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the routers said when the weights were last verified, in percent of the requests."""

    __pydantic_config__ = CONFIG
    blue: float
    green: float
    routers: int
    at: Moment


class Verdict(StrEnum):
    """What one measurement, one metric or one step came to."""

    RUNNING = "running"
    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricState:
    """The running count of one metric in the present step."""

    __pydantic_config__ = CONFIG
    name: str
    next_at: Moment
    taken: Annotated[int, Field(description="Measurements of any kind.")] = 0
    measured: Annotated[int, Field(description="Measurements that passed or failed.")] = 0
    failed: int = 0
    inconclusive: int = 0
    errors_in_a_row: int = 0
    value: float | None = None
    stable_value: float | None = None
    samples: float | None = None
    verdict: Verdict = Verdict.RUNNING
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A gate that a person opened."""

    __pydantic_config__ = CONFIG
    revision: str
    gate: str
    by: str
    at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A revision that is not tried again unless `attempt` is raised."""

    __pydantic_config__ = CONFIG
    revision: str
    reason: Reason
    by: str
    at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A line of the history."""

    __pydantic_config__ = CONFIG
    revision: str
    image: str
    number: int
    result: str
    started: Moment
    finished: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A Kubernetes condition."""

    __pydantic_config__ = CONFIG
    type: str
    status: str
    reason: str
    message: str
    last_transition_time: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """The whole state of the machine; written by compare-and-swap only."""

    __pydantic_config__ = CONFIG
    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    step: int = 0
    message: str = ""
    reason: Reason = Reason.NONE
    stable: Revision | None = None
    candidate: Revision | None = None
    standby: Revision | None = None
    last_good_digest: str = ""
    last_good_image: str = ""
    intent: Intent | None = None
    observed: Observed | None = None
    since: Moment = 0.0
    started: Moment = 0.0
    exposed: Annotated[Moment | None, Field(description="Since when the version could get requests of users.")] = None
    promoted: Annotated[Moment | None, Field(description="When the version became the stable one.")] = None
    deadline: Annotated[Moment | None, Field(description="The phase is undone at this moment.")] = None
    until: Annotated[Moment | None, Field(description="The phase's own timer: pause, soak, drain or window.")] = None
    unready_since: Moment | None = None
    disagree_since: Annotated[Moment | None, Field(description="Since when a router holds other weights.")] = None
    metrics: tuple[MetricState, ...] = ()
    gate: Annotated[str, Field(description="The approval that is being waited for.")] = ""
    approvals: tuple[Approval, ...] = ()
    pauses: int = 0
    resume_to: Phase | None = None
    by: Annotated[str, Field(description="Who aborted, or moved the weights by hand.")] = ""
    override: Annotated[str, Field(description="Version of the foreign annotation that may be overwritten.")] = ""
    probe: Annotated[dict[str, str] | None, Field(description="Process of each router before the preview moved.")] = (
        None
    )
    reloads: Annotated[int, Field(description="Shifts of this revision that reloaded a router.")] = 0
    rejected: tuple[Rejection, ...] = ()
    past_contract: Annotated[str, Field(description="Revision whose contract migration began: no way back.")] = ""
    revisions: Annotated[int, Field(description="How many revisions there have been.")] = 0
    history: tuple[Finished, ...] = ()
    conditions: tuple[Condition, ...] = ()

    def rejects(self, revision: str) -> bool:
        """Return whether the revision was tried and refused."""
        return any(entry.revision == revision for entry in self.rejected)
