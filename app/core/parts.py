"""What one application is made of, and how a request finds it."""

from dataclasses import dataclass
from typing import cast

from flask import Flask

from app.core.cache import Cache
from app.core.cursors import CursorSigner
from app.core.database import Database
from app.core.drain import Drain
from app.core.flags import Flags
from app.core.here import context
from app.core.issuer import IssuerTokens
from app.core.rate_limit import RateLimiter
from app.core.readiness import Readiness
from app.core.settings import Settings
from app.core.streams import Streams
from app.core.tokens import Keyring
from app.core.turns import Turns

_KEY = "slipway"


@dataclass(frozen=True)
class Parts:
    """Made once by the factory; shared by all requests of a process.

    Attributes:
        settings: what the environment says.
        turns: how many requests are worked on at once.
        database: both engines.
        cursors: signs page cursors.
        cache: values that may be a moment old.
        limiter: counts how often each caller asks.
        drain: whether the process is stopping.
        flags: what is switched on.
        streams: counts the answers that go on for a while.
        readiness: whether a database with our schema answers.
        keyring: signs and verifies tokens; None where no signing key is mounted: then there are no tokens of ours.
        issuer: verifies tokens of the external issuer; None where none is trusted.
        bootstrap_key: SHA-256 of the mounted key that may do everything, None where none is mounted.
    """

    settings: Settings
    turns: Turns
    database: Database
    cursors: CursorSigner
    cache: Cache
    limiter: RateLimiter
    drain: Drain
    flags: Flags
    streams: Streams
    readiness: Readiness
    keyring: Keyring | None
    issuer: IssuerTokens | None
    bootstrap_key: bytes | None


def attach(app: Flask, parts: Parts) -> None:
    """Give the application its parts."""
    app.extensions[_KEY] = parts


def parts_of(app: Flask) -> Parts:
    """Return the parts of an application."""
    return cast("Parts", app.extensions[_KEY])


def parts() -> Parts:
    """Return the parts of the application that serves the current request."""
    return parts_of(context().app)
