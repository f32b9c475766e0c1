"""Settings of the project `slipway-service`, and of services of others."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from infra.model import MODEL
from infra.parts import ErrorReports, Issuer, Webhook
from infra.settings.values import PinnedImage


class LogLevel(StrEnum):
    """How much the service logs."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Strategy(StrEnum):
    """How requests move to a new version."""

    CANARY = "canary"
    BLUE_GREEN = "blueGreen"


def _rising(value: str) -> str:
    numbers = [int(it) if it.isdecimal() else 0 for it in value.split(",")]
    if numbers != sorted(set(numbers)) or numbers[0] < 1 or numbers[-1] > 100:  # noqa: PLR2004  # percent
        raise ValueError("must be percentages from 1 to 100 that rise, such as 5,25,50")
    return value


class FlagRule(BaseModel):
    """For whom a feature flag is on."""

    model_config = MODEL

    on: bool = Field(description="Whether for anybody.")
    percent: int = Field(default=100, ge=0, le=100, description="Of those who ask, always the same ones.")


FlagName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class ServiceSettings(BaseModel):
    """Settings of the project `slipway-service`. The stack is named `<cluster>-<environment>`."""

    model_config = MODEL

    image: PinnedImage | None = Field(
        default=None,
        description="The service's first image, by digest. Left out, it is built from this repository's Dockerfile. "
        "Later ones are asked for by `slipway rollout start`.",
    )
    replicas: int | None = Field(
        default=None, ge=1, le=100, description="Pods of each colour; the profile's count if left out."
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Most pods of a colour: under load they are added until each uses 70 % of the CPU that it "
        "requests. Left out, their number stays.",
    )
    max_worker_replicas: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Most pods of workers (`python -m app.work`) of a colour: they are added while more than "
        "`messagesPerWorker` messages wait for each. Left out, their number stays. Needs the platform's metrics.",
    )
    messages_per_worker: int = Field(
        default=200, ge=1, le=1_000_000, description="Messages that may wait for each worker before another is added."
    )
    scale_down_seconds: int = Field(
        default=300, ge=0, le=3600, description="Added pods go when fewer would have done for so long."
    )
    strategy: Strategy = Field(default=Strategy.CANARY, description="How requests move to a new version.")
    steps: Annotated[str, AfterValidator(_rising)] = Field(
        default="5,25,50", description="For `canary`: percentages that the new version gets, one after the other."
    )
    approval: bool = Field(default=False, description="Whether a person has to approve before the first request moves.")
    preview_check: bool = Field(
        default=False,
        description="Whether k6 asks the preview host of each new version before the first request moves. Needs a "
        "cluster with a registry of its own, where the image is built.",
    )
    error_ratio: float = Field(
        default=0.01, ge=0, le=1, description="Share of failed requests above which a version is taken back."
    )
    min_samples: int = Field(
        default=20, ge=1, le=1_000_000, description="Requests below which nothing is concluded from that share."
    )
    rollback_window: str = Field(
        default="1h", pattern=r"^[0-9]+(s|m|h)$", description="How long the old version stays warm."
    )
    log_level: LogLevel = Field(default=LogLevel.INFO, description="How much the service logs.")
    traces_ratio: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of requests that are traced, of those whose caller has not decided by `traceparent`.",
    )
    flags: dict[FlagName, FlagRule] | None = Field(
        default=None,
        description='Feature flags, such as `{"export-streams": {"on": true, "percent": 50}}`; one that is not named '
        "has the code's own default. A change reaches pods within about a minute, without a rollout. With `{}` the "
        "service is ready for that; left out, it reads no flags, and the first ones are rolled out.",
    )
    webhook: Webhook | None = Field(
        default=None,
        description="Who is told of finished exports by workers (`python -m app.work`); nobody if left out.",
    )
    external_issuer: Issuer | None = Field(
        default=None,
        description="Whose access tokens the service believes besides its own (docs/how-to/external-issuer.md); "
        "nobody's if left out. A change is rolled out.",
    )
    errors: ErrorReports | None = Field(
        default=None, description="Who is told of unexpected errors, by Sentry's protocol; only the log if left out."
    )
    workers: int = Field(default=2, ge=1, le=32, description="Worker processes of each pod.")
    threads: int = Field(default=8, ge=1, le=128, description="Threads of each worker process.")


class AnyServiceSettings(BaseModel):
    """Settings of the project of a service that is not ours. The stack is named `<cluster>-<environment>`."""

    model_config = MODEL

    image: PinnedImage = Field(
        description="The service's first image, by digest. Later ones are asked for by `slipway rollout start`."
    )
    values: dict[str, Any] = Field(
        default={}, description="Values of the chart for this environment, laid over those of `values.yaml`."
    )


#: Which model belongs to which project.
