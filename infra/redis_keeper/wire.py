"""As much of Redis's protocol as the keeper needs: send words, read one answer, close."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    user: str = ""
    password: str = ""
    timeout: float = 0.5


def ask(place: Place, access: Access, *commands: Sequence[str]) -> list[Answer]:
    """Send commands over one connection and return their answers.

    Raises:
        RefusedError: One of them was answered by an error.
        OSError: There is no connection, or no answer in time.
        EOFError: The connection was closed.
    """
    wanted = [*([("AUTH", access.user, access.password)] if access.user else []), *commands]
    with socket.create_connection((place.host, place.port), timeout=access.timeout) as connection:
        connection.sendall(b"".join(encoded(words) for words in wanted))
        with connection.makefile("rb") as stream:
            answers = [read(stream) for _ in wanted]
    return answers[len(wanted) - len(commands) :]


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
