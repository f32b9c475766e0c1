"""What a user asks for: the `spec` of a Rollout. Values only; `plan.py` and `decide.py` give them meaning."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from slipway.rollout.fields import CONFIG, Duration, Image, Moment, Name, Percent, Text

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a canary: move this share, watch it, go on."""

    __pydantic_config__ = CONFIG
    weight: Annotated[int, Field(ge=1, le=100, description="Share of the requests the new version gets, in percent.")]
    pause: Annotated[Duration, Field(description="Stay at this weight at least this long.")] = 0
    analysis: Annotated[bool, Field(description="Judge the step by spec.analysis before going on.")] = True
    approval: Annotated[bool, Field(description="Wait for a person after the step has passed.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Shift in steps; a last step of 100 is added when the list does not end with it."""

    __pydantic_config__ = CONFIG
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=32, description="Weights, ascending.")]
    approval: Annotated[bool, Field(description="Wait for a person after the preview.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen:
    """Preview at weight 0, a person approves, then everything moves at once."""

    __pydantic_config__ = CONFIG
    approval: Annotated[bool, Field(description="Wait for a person after the preview.")] = True
    pause: Annotated[Duration, Field(description="Watch the switched version this long before promoting it.")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Exactly one of the two; neither means a canary of 5, 25, 50 and 100 percent."""

    __pydantic_config__ = CONFIG
    canary: Canary | None = None
    blue_green: BlueGreen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusQuery:
    """Instant queries; `{{service}}`, `{{namespace}}`, `{{colour}}`, `{{window}}` and friends are replaced."""

    __pydantic_config__ = CONFIG
    query: Annotated[Text, Field(description="Value of one colour, as PromQL that yields one number.")]
    samples: Annotated[Text | None, Field(description="How many requests the value rests on, as PromQL.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCheck:
    """A Job whose exit code is the verdict: 0 pass, 99 fail (as k6 says of thresholds), anything else an error."""

    __pydantic_config__ = CONFIG
    image: Image
    args: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    config_map: Annotated[Name | None, Field(description="Mounted at /scripts, read only.")] = None
    timeout: Annotated[Duration, Field(description="After this the Job counts as an error.")] = 10 * MINUTE


class Source(StrEnum):
    """Ready-made metrics that need nothing of the service: HAProxy counts, by the address that answered."""

    ERROR_RATIO = "error-ratio"
    MEAN_LATENCY = "mean-latency"
    LATENCY_P50 = "latency-p50"
    LATENCY_P95 = "latency-p95"
    LATENCY_P99 = "latency-p99"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One judged figure. Field names are Argo's where Argo has them."""

    __pydantic_config__ = CONFIG
    name: Name
    source: Annotated[Source | None, Field(description="A ready-made metric; or give prometheus or job.")] = None
    prometheus: PrometheusQuery | None = None
    job: JobCheck | None = None
    interval: Annotated[Duration, Field(description="Time between two measurements.")] = 30
    count: Annotated[int, Field(ge=1, le=1000, description="Measurements a step needs.")] = 1
    initial_delay: Annotated[Duration, Field(description="Wait before the first measurement of a step.")] = 0
    failure_limit: Annotated[int, Field(ge=0, le=1000, description="Failed measurements that are tolerated.")] = 0
    consecutive_error_limit: Annotated[int, Field(ge=0, le=1000, description="Errors in a row tolerated.")] = 4
    inconclusive_limit: Annotated[int, Field(ge=0, le=1000, description="Inconclusive ones tolerated.")] = 3
    min_samples: Annotated[int, Field(ge=0, description="Fewer requests than this are inconclusive.")] = 50
    maximum: Annotated[float | None, Field(description="The value must not exceed this.")] = None
    minimum: Annotated[float | None, Field(description="The value must not fall below this.")] = None
    maximum_delta: Annotated[float | None, Field(description="Canary minus stable must not exceed this.")] = None
    dry_run: Annotated[bool, Field(description="Measure and record, but never act on it.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What every analysed step, and the soak after promotion, is judged by."""

    __pydantic_config__ = CONFIG
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=16)]
    soak: Annotated[Duration, Field(description="Judge the promoted version this long; 0 means no soak.")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueScaling:
    """More workers while messages wait: `workers.replicas` is the least of each colour."""

    __pydantic_config__ = CONFIG
    query: Annotated[
        Text,
        Field(
            description="How many messages wait, as PromQL that yields one number; `{{namespace}}`, `{{rollout}}`, "
            "`{{service}}` and `{{colour}}`, the one that consumes, are replaced."
        ),
    ]
    messages_per_worker: Annotated[int, Field(ge=1, description="More that wait for each worker ask for another.")]
    max_replicas: Annotated[int, Field(ge=1, le=100, description="Most workers of a colour.")]
    scale_down_seconds: Annotated[
        int, Field(ge=0, le=3600, description="Workers go only when fewer would have done for so long.")
    ] = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Pods that consume queues. Each colour has its own; a file tells them which colour consumes, the stable one."""

    __pydantic_config__ = CONFIG
    template: Annotated[Name, Field(description="Name of the workers' PodTemplate.")]
    replicas: Annotated[int, Field(ge=0, le=100, description="How many; with autoscaling the least.")] = 1
    autoscaling: QueueScaling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaling:
    """More pods under load: `spec.replicas` is the least of each colour."""

    __pydantic_config__ = CONFIG
    max_replicas: Annotated[int, Field(ge=1, le=500, description="Most pods of a colour.")]
    cpu: Annotated[int, Field(ge=1, le=1000, description="Percent of their requested CPU that pods shall use.")] = 70
    scale_down_seconds: Annotated[
        int, Field(ge=0, le=3600, description="Pods go only when fewer would have done for so long.")
    ] = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrations:
    """The image's own migration command, called with `check`, `expand` or `contract` and `--json`."""

    __pydantic_config__ = CONFIG
    command: Annotated[tuple[Text, ...], Field(min_length=1, max_length=16)] = ("python", "-m", "app.migrate")
    container: Annotated[
        Name | None,
        Field(
            description="Container (or init container) of the template whose environment and mounts the command gets; "
            "the service's own if left out."
        ),
    ] = None
    contract: Annotated[bool, Field(description="Run contract when the rollback window has closed.")] = False
    timeout: Annotated[Duration, Field(description="A migration that takes longer has failed.")] = 10 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBudget:
    """Database connections: while two colours run, both need theirs."""

    __pydantic_config__ = CONFIG
    per_replica: Annotated[int, Field(ge=1)]
    maximum: Annotated[int, Field(ge=1)]


class ConfigKind(StrEnum):
    """Kinds of objects that are copied per revision."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRef:
    """An object the pods read; each revision gets a copy of its own, so that a rollback brings it back too."""

    __pydantic_config__ = CONFIG
    kind: ConfigKind
    name: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person decided about one revision. Admission makes sure that `by` is who sent it."""

    __pydantic_config__ = CONFIG
    revision: Annotated[str, Field(max_length=63, description="Hash of the revision it is about.")]
    by: Annotated[str, Field(min_length=1, max_length=253, description="The user that gave the order.")]
    gate: Annotated[str, Field(max_length=63, description="Which approval; empty for an abort.")] = ""
    reason: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What the wanted image was built from: said by whoever asks for it, and used for figures only."""

    __pydantic_config__ = CONFIG
    id: Annotated[str, Field(min_length=1, max_length=64, description="The commit.")]
    time: Annotated[Moment, Field(description="When it was made.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The wanted version and how to get there. A change of image, pods, config or attempt is a new revision."""

    __pydantic_config__ = CONFIG
    service: Annotated[Name, Field(description="The Service that both colours share and that carries the weights.")]
    template: Annotated[Name, Field(description="The PodTemplate of the pods.")]
    image: Annotated[Image, Field(description="The wanted image, by digest.")]
    container: Annotated[Name | None, Field(description="Container that gets the image; the first if not given.")] = (
        None
    )
    commit: Annotated[Commit | None, Field(description="What the image was built from.")] = None
    attempt: Annotated[int, Field(ge=0, description="Raise it to try a rejected revision again.")] = 0
    replicas: Annotated[int, Field(ge=1, le=500, description="Least number of serving pods.")] = 2
    autoscaling: Autoscaling | None = None
    strategy: Strategy = Strategy()
    analysis: Analysis | None = None
    preview: Annotated[JobCheck | None, Field(description="Checked against the preview host, at weight 0.")] = None
    config: Annotated[tuple[ConfigRef, ...], Field(max_length=16)] = ()
    workers: Workers | None = None
    migrations: Migrations | None = None
    connections: ConnectionBudget | None = None
    rollback_window: Annotated[Duration, Field(description="The old version stays warm this long.")] = HOUR
    scale_down_delay: Annotated[Duration, Field(description="Least time without weight before pods go.")] = 30
    drain_timeout: Annotated[Duration, Field(description="Longest wait for the last open request.")] = 5 * MINUTE
    progress_deadline: Annotated[Duration, Field(description="A phase without progress for so long is undone.")] = (
        10 * MINUTE
    )
    pause_timeout: Annotated[Duration, Field(description="A pause nobody ends is rolled back after this.")] = HOUR
    paused: Annotated[bool, Field(description="Hold where it is.")] = False
    dry_run: Annotated[bool, Field(description="Prepare and preview, then take it back without shifting.")] = False
    allow_reloads: Annotated[bool, Field(description="Go on although a shift reloads HAProxy.")] = False
    approve: Order | None = None
    abort: Order | None = None


DEFAULT_STEPS: Final = tuple(Step(weight=weight) for weight in (5, 25, 50, 100))


def steps_of(spec: RolloutSpec) -> tuple[Step, ...]:
    """Return the weights to go through, always ending with 100; the preview at weight 0 is not among them."""
    if spec.strategy.blue_green is not None:
        return (Step(weight=100, pause=spec.strategy.blue_green.pause),)
    steps = DEFAULT_STEPS if spec.strategy.canary is None else spec.strategy.canary.steps
    return steps if steps[-1].weight == 100 else (*steps, Step(weight=100))  # noqa: PLR2004 - all of the requests


def previews_need_approval(spec: RolloutSpec) -> bool:
    """Return whether a person has to approve before the first request goes to the new version."""
    if spec.strategy.blue_green is not None:
        return spec.strategy.blue_green.approval
    return spec.strategy.canary is not None and spec.strategy.canary.approval


__all__ = [
    "DEFAULT_STEPS",
    "Analysis",
    "Autoscaling",
    "BlueGreen",
    "Canary",
    "Commit",
    "ConfigKind",
    "ConfigRef",
    "ConnectionBudget",
    "JobCheck",
    "Metric",
    "Migrations",
    "Order",
    "Percent",
    "PrometheusQuery",
    "QueueScaling",
    "RolloutSpec",
    "Source",
    "Step",
    "Strategy",
    "Workers",
    "previews_need_approval",
    "steps_of",
]
