"""A bad version on purpose: the same image with a bad configuration, for drills. Off unless allowed and described."""

import os
import random
import time
from threading import Timer

from flask import Flask, g, request
from pydantic import BaseModel, ConfigDict, Field

from app.core.problems import Problem

CRASH_EXIT = 70
# What the platform asks stays truthful, except for readiness if that is the fault.
_SPARED = {"/livez", "/readyz", "/version"}


class Faults(BaseModel):
    """What is wrong with this version.

    Attributes:
        error_rate: share of requests that answer 500, 0 to 1.
        latency_seconds: how much longer every request takes.
        never_ready: readiness never holds.
        crash_after_seconds: the process ends with exit code 70 that long after its start; 0 at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    error_rate: float = Field(default=0, ge=0, le=1)
    latency_seconds: float = Field(default=0, ge=0, le=30)
    never_ready: bool = False
    crash_after_seconds: float | None = Field(default=None, ge=0, le=3600)


def install(app: Flask, faults: Faults) -> None:
    """Make requests to `app` slow or fail; each such answer carries `X-Fault: injected`."""
    harmless = not (faults.latency_seconds or faults.error_rate)

    def harm() -> None:
        if harmless or request.path in _SPARED:
            return
        if faults.latency_seconds:
            g.fault = "latency"
            time.sleep(faults.latency_seconds)
        if random.random() < faults.error_rate:  # noqa: S311 - chance, not secrecy
            g.fault = "error"
            raise Problem(
                status=500,
                code="injected_fault",
                title="Injected fault",
                detail="This version is configured to fail this share of requests (SLIPWAY_FAULTS).",
            )

    app.before_request(harm)


def arm_crash(faults: Faults) -> None:
    """Start the clock of a crash, in the main process: it takes the container down with it."""
    if faults.crash_after_seconds is not None:
        timer = Timer(faults.crash_after_seconds, os._exit, (CRASH_EXIT,))
        timer.daemon = True
        timer.start()
