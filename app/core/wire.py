"""What the server refuses before the application sees it (a line or header too long or malformed), in our form."""

import logging
import socket
from collections.abc import Callable
from uuid import uuid4

import orjson

from app.core.problems import Problem
from app.core.requests import SECURITY
from app.core.settings import Settings

_LOG = logging.getLogger(__name__)

#: Bytes of a request's first line, which holds its path and query.
LINE_BYTES = 4094
#: Headers of a request, and bytes of each.
HEADERS, HEADER_BYTES = 100, 8190


def problem_writer(settings: Settings) -> Callable[[socket.socket, int, str, str], None]:
    """Return what takes the place of gunicorn's `write_error`, which answers with a page of HTML."""

    def write(sock: socket.socket, status: int, reason: str, message: str) -> None:
        request_id = uuid4().hex
        code = reason.lower().replace(" ", "_")
        detail = f"{message or reason}; the connection is closed."
        body = orjson.dumps(Problem(status=status, code=code, title=reason, detail=detail).body(request_id))
        headers = {
            "Connection": "close",
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Request-ID": request_id,
            "X-Slipway-Colour": settings.colour,
            "X-Slipway-Version": settings.version,
            **SECURITY,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sock.sendall(f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode("latin-1") + body)
        _LOG.warning(
            "request refused before it was read",
            extra={"http.request.id": request_id, "http.response.status_code": status, "error.message": message},
        )

    return write
