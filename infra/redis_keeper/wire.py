"""As much of Redis's protocol as the keeper needs: send words over TLS, read the answers."""

import contextlib
import select
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, final

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


@final
class Line:
    """A connection; whoever has met an error on it closes it, since answers may be left on it.

    Args:
        place: Where to.
        access: As whom.

    Raises:
        OSError: There is no connection, or nobody who is trusted.
    """

    def __init__(self, place: Place, access: Access) -> None:
        with contextlib.ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection((place.host, place.port), timeout=access.timeout))
            self._socket = trust(access.authority).wrap_socket(plain, server_hostname=place.host)
            self._stream = self._socket.makefile("rb")
            stack.pop_all()
        # Told with the first commands: one wait less.
        self._introduction = [("AUTH", access.user, access.password)] if access.user else []

    def ask(self, *commands: Sequence[str]) -> list[Answer]:
        """Send commands and return their answers. Raises as `ask` does."""
        wanted = [*self._introduction, *commands]
        self._introduction = []
        self._socket.sendall(b"".join(encoded(words) for words in wanted))
        answers = [read(self._stream) for _ in wanted]
        return answers[len(wanted) - len(commands) :]

    def ended(self) -> bool:
        """Whether the other side has closed it: nothing else comes unasked."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        """Close it."""
        self._stream.close()
        self._socket.close()


@final
class Lines:
    """Connections that stay open, one to each place: what is asked twice a second needs no new one each time."""

    def __init__(self) -> None:
        self._open: dict[Place, Line] = {}

    def ask(self, place: Place, access: Access, *commands: Sequence[str]) -> list[Answer]:
        """As `ask`, over the connection that is there, if the other side has not closed it."""
        line = self._open.pop(place, None)
        if line is not None and line.ended():
            line.close()
            line = None
        line = line or Line(place, access)
        try:
            answers = line.ask(*commands)
        except BaseException:
            line.close()
            raise
        self._open[place] = line
        return answers

    def close(self) -> None:
        """Close all of them; the next question opens one again."""
        while self._open:
            self._open.popitem()[1].close()


def ask(place: Place, access: Access, *commands: Sequence[str]) -> list[Answer]:
    """Send commands over one connection and return their answers.

    Raises:
        RefusedError: One of them was answered by an error.
        OSError: There is no connection, or no answer in time.
        EOFError: The connection was closed.
    """
    with contextlib.closing(Line(place, access)) as line:
        return line.ask(*commands)


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
