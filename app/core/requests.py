"""Around every request: its id, its trace, the response headers that name the version, and one access line."""

import logging
import re
import time
from uuid import uuid4

from flask import Flask, Response, g, request

from app.core import consistency, trace
from app.core.settings import Settings
from app.core.trace import Kind

_LOG = logging.getLogger("app.access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = {"/livez", "/readyz"}  # asked every few seconds; only worth a line when they fail or at DEBUG
_FIRST_ERROR, _FIRST_FAILURE = 400, 500
_TOKEN = "X-Consistency-Token"  # noqa: S105 - a position in a log, not a secret


def request_id() -> str:
    """Return the id that joins this request's log lines, errors and answer."""
    return g.request_id


# The API answers programs, never renders pages: a browser is told to do nothing with an answer.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def install(app: Flask, settings: Settings) -> None:
    """Put the functions of this module around every request of `app`."""

    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        g.started = time.perf_counter_ns()
        g.consistency = consistency.begin(request.headers.get(_TOKEN))
        rule = request.url_rule.rule if request.url_rule else None
        g.span = None
        if request.path in _QUIET:
            trace.enter(None)  # asked for ever by the platform: no trace of anybody's
            return
        g.span = trace.begin(
            request.method if rule is None else f"{request.method} {rule}",
            Kind.SERVER,
            request.headers.get("traceparent"),
            {"http.request.method": request.method, "http.route": rule or "none", "http.request.id": g.request_id},
        )

    def finish(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        response.headers.extend(SECURITY)
        # What one caller may see is not for shared caches; the caller's own must ask again (ETag).
        response.headers.setdefault("Cache-Control", "private, no-cache")
        if g.consistency.written is not None:
            response.headers[_TOKEN] = g.consistency.written
        fault = g.get("fault")
        if fault is not None:
            response.headers["X-Fault"] = "injected"
        if g.consistency.stale:
            response.headers["X-Consistency-Stale"] = "true"
        response.headers["X-Slipway-Colour"] = settings.colour
        response.headers["X-Slipway-Version"] = settings.version
        quiet = request.path in _QUIET and response.status_code < _FIRST_ERROR
        _LOG.log(
            logging.DEBUG if quiet else logging.INFO,
            "request",
            extra={
                "event.dataset": "payload.access",
                "event.duration": time.perf_counter_ns() - g.started,  # nanoseconds, as ECS says
                "event.outcome": "success" if response.status_code < _FIRST_ERROR else "failure",
                "http.request.id": g.request_id,
                "http.request.method": request.method,
                "http.response.status_code": response.status_code,
                "http.route": request.url_rule.rule if request.url_rule else None,
                "url.path": request.path,
                "labels.fault": fault,
                "client.ip": request.remote_addr,
            },
        )
        if g.span is not None:
            status = response.status_code
            error = str(status) if status >= _FIRST_FAILURE else None
            g.span.end(attributes={"http.response.status_code": status}, error=error)
        trace.enter(None)  # the thread's next line may belong to nobody
        return response

    app.before_request(begin)
    app.after_request(finish)
