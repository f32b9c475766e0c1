"""An answer leaves the process whole or not at all: what HAProxy's retry of a killed pod's requests relies on."""

from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi

from app.server import WholeResponse


class Wire:
    """A socket that remembers each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.writes.append(data)


def answer(
    kind: Any, headers: list[tuple[str, str]], body: list[bytes], *, method: str = "GET", status: int = 200
) -> list[bytes]:
    wire = Wire()
    request: Any = SimpleNamespace(method=method, version=(1, 1), should_close=lambda: False)
    response = kind(request, wire, Config())
    response.start_response(f"{status} Some", headers)
    for piece in body:
        response.write(piece)
    response.close()
    return wire.writes


def without_date(written: bytes) -> bytes:
    return b"\r\n".join(line for line in written.split(b"\r\n") if not line.startswith(b"Date:"))


def test_headers_and_body_are_one_write():
    assert len(answer(WholeResponse, [("Content-Length", "4")], [b"body"])) == 1


def test_gunicorn_alone_writes_them_apart():
    """The control: were this to fail, the class above would be needed no more."""
    assert len(answer(wsgi.Response, [("Content-Length", "4")], [b"body"])) == 2


@pytest.mark.parametrize(
    ("headers", "body", "method", "status"),
    [
        ([("Content-Length", "4")], [b"body"], "GET", 200),
        ([("Content-Length", "4")], [b"bo", b"dy"], "GET", 200),
        ([("Content-Length", "4")], [b"body"], "HEAD", 200),
        ([("Content-Length", "0")], [], "GET", 200),
        ([], [], "DELETE", 204),
        ([], [b"one", b"", b"two"], "GET", 200),
        ([], [], "GET", 200),
        ([("ETag", '"1"')], [], "GET", 304),
    ],
)
def test_the_bytes_are_gunicorns(headers: list[tuple[str, str]], body: list[bytes], method: str, status: int) -> None:
    ours = answer(WholeResponse, headers, body, method=method, status=status)
    plain = answer(wsgi.Response, headers, body, method=method, status=status)
    assert without_date(b"".join(ours)) == without_date(b"".join(plain))


def test_a_stream_is_not_held_back():
    """A piece of a stream leaves when it is written, not at the end."""
    assert len(answer(WholeResponse, [], [b"one", b"two"])) == 3
