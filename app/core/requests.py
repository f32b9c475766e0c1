"""Around every request: its id, its trace, the response headers that name the version, and one access line."""

import logging
import os
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response

from app.core import consistency, trace
from app.core.here import context, current
from app.core.logs import AccessLog
from app.core.settings import Settings
from app.core.trace import Kind
from app.core.turns import PROBES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FIRST_ERROR, _FIRST_FAILURE = 400, 500
_TOKEN = "X-Consistency-Token"  # noqa: S105 - a position in a log, not a secret


def request_id() -> str:
    """Return the id that joins this request's log lines, errors and answer."""
    return context().g.request_id


# The API answers programs: a browser is told to do nothing with an answer. The one page has a policy of its own.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def install(app: Flask, settings: Settings) -> None:
    """Put the functions of this module around every request of `app`."""
    app.wsgi_app = _SameHeaders(
        app.wsgi_app,
        [*SECURITY.items(), ("X-Slipway-Colour", settings.colour), ("X-Slipway-Version", settings.version)],
    )

    log = AccessLog(settings)

    def begin() -> None:
        asked, here = current(), context().g
        environ, rule = asked.environ, asked.url_rule
        given = environ.get("HTTP_X_REQUEST_ID", "")
        here.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        here.started = time.perf_counter_ns()
        here.consistency = consistency.begin(
            environ.get("HTTP_X_CONSISTENCY_TOKEN"), environ.get("HTTP_CACHE_CONTROL", "")
        )
        here.span = here.fault = None
        if asked.path in PROBES:
            trace.enter(None)  # asked for ever by the platform: no trace of anybody's
            return
        here.span = trace.begin(
            asked.method if rule is None else f"{asked.method} {rule.rule}",
            Kind.SERVER,
            environ.get("HTTP_TRACEPARENT"),
            {
                "http.request.method": asked.method,
                "http.route": "none" if rule is None else rule.rule,
                "http.request.id": here.request_id,
            },
        )

    def finish(response: Response) -> Response:
        asked, here = current(), context().g
        headers, status, known = response.headers, response.status_code, here.consistency
        headers["X-Request-ID"] = here.request_id
        if "Cache-Control" not in headers:
            # What one caller may see is not for shared caches; the caller's own must ask again (ETag).
            headers["Cache-Control"] = "private, no-cache"
        if known.written is not None:
            headers[_TOKEN] = known.written
        if here.fault is not None:
            headers["X-Fault"] = "injected"
        if known.stale:
            headers["X-Consistency-Stale"] = "true"
        failed = status >= _FIRST_ERROR
        log.write(
            logging.DEBUG if not failed and asked.path in PROBES else logging.INFO,
            {
                "event.duration": time.perf_counter_ns() - here.started,  # nanoseconds, as ECS says
                "event.outcome": "failure" if failed else "success",
                "http.request.id": here.request_id,
                "http.request.method": asked.method,
                "http.response.status_code": status,
                "http.route": None if asked.url_rule is None else asked.url_rule.rule,
                "url.path": asked.path,
                "labels.fault": here.fault,
                "client.ip": asked.remote_addr,
            },
        )
        if here.span is not None:
            error = str(status) if status >= _FIRST_FAILURE else None
            here.span.end(attributes={"http.response.status_code": status}, error=error)
        trace.enter(None)  # the thread's next line may belong to nobody
        return response

    app.before_request(begin)
    app.after_request(finish)


class _SameHeaders:
    """Adds headers that are the same in every answer, all in one go.

    Args:
        app: the WSGI application behind it.
        headers: what is added, where the answer has none of that name.
    """

    def __init__(self, app: "WSGIApplication", headers: list[tuple[str, str]]) -> None:
        self._app = app
        self._headers = headers

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            own = dict(headers)
            return start_response(status, headers + [it for it in self._headers if it[0] not in own], *error)

        return self._app(environ, start)
