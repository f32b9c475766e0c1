"""What is refused before the application sees it, in our form: a malformed or too long request, and one too many."""

import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

import orjson

from app.core.problems import Problem, unavailable
from app.core.requests import SECURITY
from app.core.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOG = logging.getLogger(__name__)

#: Bytes of a request's first line, which holds its path and query.
LINE_BYTES = 4094
#: Headers of a request, and bytes of each.
HEADERS, HEADER_BYTES = 100, 8190


@dataclass(frozen=True)
class _Refusal:
    """A whole answer, and the id that finds it."""

    request_id: str
    headers: dict[str, str]
    body: bytes


def _refusal(settings: Settings, problem: Problem) -> _Refusal:
    request_id = uuid4().hex
    body = orjson.dumps(problem.body(request_id))
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Request-ID": request_id,
        "X-Slipway-Colour": settings.colour,
        "X-Slipway-Version": settings.version,
        **SECURITY,
        **problem.headers,
    }
    return _Refusal(request_id, headers, body)


def problem_writer(settings: Settings) -> Callable[[socket.socket, int, str, str], None]:
    """Return what takes the place of gunicorn's `write_error`, which answers with a page of HTML."""

    def write(sock: socket.socket, status: int, reason: str, message: str) -> None:
        code = reason.lower().replace(" ", "_")
        detail = f"{message or reason}; the connection is closed."
        made = _refusal(settings, Problem(status=status, code=code, title=reason, detail=detail))
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Connection": "close", **made.headers}.items())
        sock.sendall(f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode("latin-1") + made.body)
        _LOG.warning(
            "request refused before it was read",
            extra={
                "http.request.id": made.request_id,
                "http.response.status_code": status,
                "error.message": message,
            },
        )

    return write


def overloaded(settings: Settings) -> "WSGIApplication":
    """Return an application that answers every request with 503: it costs next to nothing, and says when to come."""

    def refuse(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        made = _refusal(settings, unavailable("overloaded", "Too many requests are waiting; nothing was changed."))
        _LOG.warning(
            "request refused, too many are waiting",
            extra={
                "http.request.id": made.request_id,
                "http.request.method": environ["REQUEST_METHOD"],
                "http.response.status_code": int(HTTPStatus.SERVICE_UNAVAILABLE),
            },
        )
        start_response("503 Service Unavailable", list(made.headers.items()))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else made.body]

    return refuse
