"""Unexpected errors go to Sentry: errors only, no integration, nothing about people.

The framework integration costs more per request than the rest of the service together, so errors are handed over by our
own error handler.
"""

import re
from collections.abc import Callable
from typing import Any, cast

import sentry_sdk
from sentry_sdk.transport import Transport
from sentry_sdk.types import Event, Hint

from app.core.secret_files import read_secret
from app.core.settings import Settings

_ADDRESS = re.compile(r"\S+@\S+")  # takes a neighbour with it rather than leave half an address
# Postgres tells the values of the row at fault in the lines after the message.
_ROW = re.compile(r"\n(DETAIL|CONTEXT):.*", re.DOTALL)


def scrubbed(text: str) -> str:
    """Return an error's text without mail addresses and without values of rows."""
    return _ADDRESS.sub("[address]", _ROW.sub("\n[row]", text))


def configure(settings: Settings, transport: Callable[[dict[str, Any]], Transport] | None = None) -> None:
    """Start sending; without an address in the settings nothing is ever sent. Call after a fork: it starts a thread."""
    if settings.sentry_dsn_file is None:
        return
    sentry_sdk.init(
        dsn=read_secret(settings.sentry_dsn_file),
        release=settings.version,
        environment=settings.environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[],
        max_breadcrumbs=0,
        include_local_variables=False,
        server_name=settings.colour,
        before_send=_scrub,
        transport=cast("Any", transport),
    )


def report(error: Exception, *, route: str | None, request_id: str) -> None:
    """Hand over an error with the route's rule (never its path) or a message's topic, and the request's id."""
    with sentry_sdk.new_scope() as scope:
        scope.set_tag("route", route or "none")
        scope.set_tag("request_id", request_id)
        scope.capture_exception(error)


def flush() -> None:
    """Send what is still waiting; call before the process ends."""
    sentry_sdk.flush(timeout=2)


def _scrub(event: Event, _hint: Hint) -> Event:
    for value in event.get("exception", {}).get("values", []):
        value["value"] = scrubbed(str(value.get("value")))
    return event
