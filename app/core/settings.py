"""Typed settings from the environment (`SLIPWAY_...`); a wrong value stops the process before it serves."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FilePath, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.faults import Faults
from app.core.flags import FlagsError, read_flags
from app.core.issuer import ExternalIssuer
from app.core.secret_files import SecretError, read_database_url, read_key, read_redis_url, read_secret
from app.core.tokens import Keyring

_PREFIX = "SLIPWAY_"


class SettingsError(Exception):
    """The environment does not describe a service that can run; each line names variable, value and what is allowed."""


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class RateLimits(BaseModel):
    """How much one caller may ask for; 0 is without a limit.

    Attributes:
        requests: to the API by one principal, or from one address without one.
        logins: by one address for one account.
        window_seconds: in any that many seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(default=600, ge=0, le=1_000_000)
    logins: int = Field(default=10, ge=0, le=1_000_000)
    window_seconds: int = Field(default=60, ge=1, le=3600)


class Settings(BaseSettings):
    """Everything the service can be told. Times are seconds unless the name says otherwise."""

    # An empty variable counts as not set: Kubernetes gives an empty text for a label that a pod (a migration's) lacks.
    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    environment: Literal["dev", "staging", "production"] = "dev"
    colour: Literal["none", "blue", "green"] = "none"
    version: str = Field(default="unversioned", min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = "INFO"

    database_url_file: FilePath
    replica_url_file: FilePath | None = None
    pooled: bool = False  # whether the two above are poolers, which lend a connection for one transaction
    # Signs page cursors; without it the first of the two above does, and cursors end when its password changes.
    cursor_key_file: FilePath | None = None
    redis_url_file: FilePath | None = None  # carries messages; without it there is no worker
    cache_url_file: FilePath | None = None  # a Redis that may forget; without it, the one above caches too
    redis_ca_file: FilePath | None = None  # who signs for a Redis behind TLS; without it the public authorities do
    sentry_dsn_file: FilePath | None = None  # without it no error is reported anywhere but in the log
    flags_file: FilePath | None = None  # switches with a version, read again when it changes (app/core/flags.py)
    # Where spans are sent (OTLP by HTTP, its whole address); without it none are made, and no library is loaded.
    traces_endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+/\S+$")] | None = None
    traces_ratio: float = Field(default=0.05, ge=0, le=1)  # of requests whose caller has not decided by `traceparent`
    signing_key_file: FilePath | None = None  # without it: no login, no tokens of our own
    # Whose tokens count besides our own, as JSON (docs/how-to/external-issuer.md); without it nobody's.
    external_issuer: ExternalIssuer | None = None
    bootstrap_key_file: FilePath | None = None  # a key that may do everything: first steps and load tests

    # Origins whose pages may call the API from a browser, as a JSON list; none unless named, and never all.
    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$")], ...] = ()

    # Proxies in front, each of which appends the address that it saw to X-Forwarded-For; 0 believes no such header.
    trusted_proxies: int = Field(default=0, ge=0, le=5)

    rate_limits: RateLimits = RateLimits()  # SLIPWAY_RATE_LIMITS='{"requests": 100}' changes one of them

    # The worker: a file that names the colour whose workers consume (a switch), and where mail goes.
    consume_colour_file: Path | None = None
    smtp_host: str | None = None
    smtp_port: int = Field(default=25, ge=1, le=65535)
    mail_from: str = "payload@slipway.test"
    webhook_url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")] | None = None  # told about finished exports
    webhook_key_file: FilePath | None = None  # signs what is told

    # For drills: SLIPWAY_FAULTS='{"error_rate": 0.2}' counts only with SLIPWAY_FAULTS_ALLOWED=true beside it.
    faults: Faults = Faults()
    faults_allowed: bool = False

    port: int = Field(default=8080, ge=1, le=65535)
    metrics_port: int = Field(default=9090, ge=1, le=65535)
    workers: int = Field(default=1, ge=1, le=8)
    threads: int = Field(default=8, ge=1, le=64)  # requests worked on at once, and connections to each database
    waiting: int = Field(default=128, ge=0, le=256)  # writes that may wait for a primary besides (app/core/turns.py)
    queue: int = Field(default=64, ge=0, le=1024)  # requests that may wait for their turn; one more gets 503 at once
    drain_seconds: float = Field(default=5, ge=0, le=120)
    graceful_seconds: float = Field(default=20, ge=1, le=300)

    # The deadline chain: each wait is shorter than the one that contains it (checked below).
    request_seconds: float = Field(default=9, gt=0, le=60)
    primary_seconds: float = Field(default=8, ge=0, le=60)  # that a write waits while Postgres changes its primary
    write_seconds: float = Field(default=5, gt=0, le=60)
    read_seconds: float = Field(default=2, gt=0, le=60)  # for each server that is tried
    statement_seconds: float = Field(default=4, gt=0, le=60)
    lock_seconds: float = Field(default=3, gt=0, le=60)
    stream_seconds: float = Field(default=10, gt=0, le=60)  # below the time that a proxy waits for the next byte
    connect_seconds: int = Field(default=2, ge=2, le=30)  # libpq and psycopg make anything shorter 2 s
    pool_wait_seconds: float = Field(default=1, gt=0, le=30)
    task_seconds: float = Field(default=3600, gt=0, le=86400)  # a migration, or maintenance: no request waits for it

    @model_validator(mode="after")
    def _chain_is_ordered(self) -> Self:
        chain = [
            ("REQUEST_SECONDS", self.request_seconds),
            ("WRITE_SECONDS", self.write_seconds),
            ("STATEMENT_SECONDS", self.statement_seconds),
            ("LOCK_SECONDS", self.lock_seconds),
            ("POOL_WAIT_SECONDS", self.pool_wait_seconds),
        ]
        links = [
            *pairwise(chain),
            (chain[0], ("READ_SECONDS", self.read_seconds)),
            (chain[0], ("PRIMARY_SECONDS", self.primary_seconds)),
        ]
        for (outer, longer), (inner, shorter) in links:
            if shorter >= longer:
                raise ValueError(
                    f"{_PREFIX}{inner} is {shorter} s and {_PREFIX}{outer} is {longer} s; "
                    f"allowed: {inner} below {outer}, or the outer wait ends first and hides the reason"
                )
        return self

    @model_validator(mode="after")
    def _faults_are_meant(self) -> Self:
        if self.faults != Faults() and not self.faults_allowed:
            raise ValueError(
                f"{_PREFIX}FAULTS is {self.faults!r} and {_PREFIX}FAULTS_ALLOWED is not true; "
                "allowed: faults only where both are set, so that no drill is left behind by accident"
            )
        return self

    @model_validator(mode="after")
    def _webhook_is_signed(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_key_file is None):
            raise ValueError(
                f"{_PREFIX}WEBHOOK_URL and {_PREFIX}WEBHOOK_KEY_FILE go together: give both or none; "
                "a receiver believes only what is signed"
            )
        return self

    @model_validator(mode="after")
    def _files_can_be_read(self) -> Self:
        readers: list[tuple[Path | None, Callable[[Path], object]]] = [
            (self.database_url_file, read_database_url),
            (self.replica_url_file, read_database_url),
            (self.redis_url_file, read_redis_url),
            (self.cache_url_file, read_redis_url),
            (self.sentry_dsn_file, read_secret),
            (self.signing_key_file, Keyring.from_file),
            (self.bootstrap_key_file, read_key),
            (self.cursor_key_file, read_key),
            (self.webhook_key_file, read_key),
            (self.flags_file, read_flags),
        ]
        for path, read in readers:
            if path is not None:
                try:
                    read(path)
                except (SecretError, FlagsError) as error:
                    raise ValueError(str(error)) from error
        return self


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: something is missing or wrong; the text has one line for each mistake.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - pydantic-settings fills the required fields
    except ValidationError as error:
        raise SettingsError("\n".join(_line(item) for item in error.errors())) from None


def _line(item: ErrorDetails) -> str:
    name = ".".join(str(part) for part in item["loc"]).upper()
    return f"{_PREFIX}{name}: {item['msg']} (given: {_shown(item['input'])})" if name else item["msg"]


def _shown(value: object) -> str:
    """Show a scalar as given; a whole mapping means that the variable is not set."""
    return "nothing" if isinstance(value, dict) else repr(value)
