"""The current request without Flask's proxies, which look for their object at each use; for what every request runs."""

from typing import TYPE_CHECKING, Any, cast

from flask import Request
from flask.globals import app_ctx, request_ctx

if TYPE_CHECKING:
    from flask.ctx import AppContext, RequestContext

# The way to the object that Flask documents, whatever its name looks like.
_app_context = cast("Any", app_ctx)._get_current_object  # noqa: SLF001
_request_context = cast("Any", request_ctx)._get_current_object  # noqa: SLF001


def context() -> "AppContext":
    """Return the application's context: the application itself, and `g`."""
    return _app_context()


def current() -> Request:
    """Return the current request."""
    found: RequestContext = _request_context()
    return found.request
