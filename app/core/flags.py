"""Feature flags by OpenFeature, from a mounted file with a version: read again when it changes, without a restart.

    {"version": "7", "flags": {"export-streams": {"on": true, "percent": 50}}}

A file that is wrong at the start stops the process. One that is wrong later is told in the log, and what was read
before stays: a typing mistake must not switch anything.
"""

import logging
import time
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Annotated
from uuid import uuid4

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_ALL = 100


class Flag(StrEnum):
    """Every flag that the code asks for. One that the file does not name has the default beside the question."""

    EXPORT_STREAMS = "export-streams"
    GRAPHQL = "graphql"
    GRAPHQL_INTROSPECTION = "graphql-introspection"


class FlagsError(Exception):
    """The file of flags cannot be read, or is not of its form."""


class FlagRule(BaseModel):
    """For whom a flag is on.

    Attributes:
        on: whether for anybody.
        percent: of those who ask, always the same ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool
    percent: int = Field(default=_ALL, ge=0, le=_ALL)


class FlagFile(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1, max_length=64)]
    flags: dict[Flag, FlagRule]


def read_flags(path: Path) -> FlagFile:
    """Return what a file says.

    Raises:
        FlagsError: it cannot be read, or is not of the form above.
    """
    try:
        return FlagFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise FlagsError(
            f"flags file {path}: {error}; allowed: version, and flags named {', '.join(Flag)} with on and percent"
        ) from error


def is_on(flag: Flag, rule: FlagRule, who: str) -> bool:
    """True if a flag is on for somebody: the more percent, the more are added, and nobody is taken away."""
    return rule.on and zlib.crc32(f"{flag} {who}".encode()) % _ALL < rule.percent


class FileProvider(InMemoryProvider):
    """OpenFeature's provider in memory, filled from the file.

    Args:
        path: of the file.
        clock: seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._seen = self._stamp()
        self._look_at = clock() + _LOOK_SECONDS
        self._reading = Lock()
        super().__init__(_in_memory(read_flags(path)))

    @override
    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Return what a flag is now."""
        self._refresh()
        return super().resolve_boolean_details(flag_key, default_value, evaluation_context)

    def _refresh(self) -> None:
        if self._clock() < self._look_at or not self._reading.acquire(blocking=False):
            return
        try:
            self._look_at = self._clock() + _LOOK_SECONDS
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            read = read_flags(self._path)
            self._flags = _in_memory(read)
            _LOG.info("flags read", extra={"labels.flags": read.version})
        except FlagsError as error:
            _LOG.warning("flags stay as they were", extra={"error.message": str(error)})
        finally:
            self._reading.release()

    def _stamp(self) -> tuple[int, int, int] | None:
        """Changes with the file, also if another one takes its place (as mounted ConfigMaps do)."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _in_memory(read: FlagFile) -> dict[str, InMemoryFlag[bool]]:
    return {flag.value: _flag(flag, rule, {"version": read.version}) for flag, rule in read.flags.items()}


def _flag(flag: Flag, rule: FlagRule, metadata: Mapping[str, str]) -> InMemoryFlag[bool]:
    def evaluate(_flag: InMemoryFlag[bool], context: EvaluationContext) -> FlagResolutionDetails[bool]:
        on = is_on(flag, rule, context.targeting_key or "")
        return FlagResolutionDetails(on, variant="on" if on else "off", flag_metadata=metadata)

    return InMemoryFlag("off", {"on": True, "off": False}, dict(metadata), context_evaluator=evaluate)


class Flags:
    """What the code asks.

    Args:
        path: the file; without one every flag has its default.
    """

    def __init__(self, path: Path | None) -> None:
        domain = f"payload-{uuid4().hex}"  # its registry is one for the process; an application has its own flags
        if path is not None:
            api.set_provider_and_wait(FileProvider(path), domain)
        self._client = None if path is None else api.get_client(domain)

    def on(self, flag: Flag, who: str, *, default: bool) -> bool:
        """True if a flag is on for somebody."""
        if self._client is None:
            return default
        return self._client.get_boolean_value(flag, default, EvaluationContext(targeting_key=who))
