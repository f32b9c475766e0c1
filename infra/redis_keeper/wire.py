"""As much of Redis's protocol as the keeper needs: send words over TLS, read one answer, close."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

Answer = str | int | None | list["Answer"]

#: What a connection may raise: it is refused, too slow, cut, or the other side says no.
SILENT = (OSError, EOFError)


class RefusedError(OSError):
    """The other side answered with an error."""


@dataclass(frozen=True)
class Place:
    """Where something listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Place":
        """From `host:port`.

        Raises:
            ValueError: It is not of that form.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdigit():
            raise ValueError(f"{text!r} is no place; allowed is host:port, such as redis-0.data:6379")
        return cls(host, int(port))


@dataclass(frozen=True)
class Access:
    """Who the keeper is to Redis and to Sentinel, and how long it waits for each of them.

    Attributes:
        user: Name; without one there is no password to give either.
        password: Its password.
        timeout: Seconds for a connection, and for each read.
        authority: File with the certificate of who signs for those that it asks. Without one it does not ask who they
            are: only for its own pod, which it must reach also with a certificate that nobody trusts any more.
    """

    user: str = ""
    password: str = ""
    timeout: float = 0.5
    authority: Path | None = None


def ask(place: Place, access: Access, *commands: Sequence[str]) -> list[Answer]:
    """Send commands over one connection and return their answers.

    Raises:
        RefusedError: One of them was answered by an error.
        OSError: There is no connection, or no answer in time.
        EOFError: The connection was closed.
    """
    wanted = [*([("AUTH", access.user, access.password)] if access.user else []), *commands]
    with (
        socket.create_connection((place.host, place.port), timeout=access.timeout) as plain,
        trust(access.authority).wrap_socket(plain, server_hostname=place.host) as connection,
    ):
        connection.sendall(b"".join(encoded(words) for words in wanted))
        with connection.makefile("rb") as stream:
            answers = [read(stream) for _ in wanted]
    return answers[len(wanted) - len(commands) :]


def trust(authority: Path | None) -> ssl.SSLContext:
    """What a certificate is judged by; the file is read again once it has changed.

    Raises:
        OSError: The file cannot be read, or holds no certificate.
    """
    return _trust(authority, authority.stat().st_mtime_ns if authority else 0)


@lru_cache(maxsize=2)
def _trust(authority: Path | None, _changed: int) -> ssl.SSLContext:
    if authority is not None:
        return ssl.create_default_context(cafile=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def encoded(words: Sequence[str]) -> bytes:
    """A command as it goes over the wire."""
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        text = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(text), text))
    return b"".join(parts)


def read(stream: BinaryIO) -> Answer:
    """Read one answer.

    Raises:
        RefusedError: It is an error.
        EOFError: It ends too early.
    """
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("the connection was closed in mid-answer")
    kind, text = line[:1], line[1:-2].decode()
    match kind:
        case b"+":
            return text
        case b"-":
            raise RefusedError(text)
        case b":":
            return int(text)
        case b"$":
            return _bulk(stream, int(text))
        case b"*":
            return None if int(text) < 0 else [read(stream) for _ in range(int(text))]
        case _:
            raise RefusedError(f"an answer begins with {kind!r}; allowed is one of + - : $ *")


def _bulk(stream: BinaryIO, length: int) -> str | None:
    if length < 0:
        return None
    content = stream.read(length + 2)
    if len(content) < length + 2:
        raise EOFError("the connection was closed in mid-answer")
    return content[:-2].decode()
