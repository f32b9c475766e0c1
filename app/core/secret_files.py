"""Secrets come from mounted files; the environment only names the files."""

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.redis_places import SENTINEL_FORM, parse_sentinels

_PLACEHOLDERS = ("changeme", "change-me", "changethis", "placeholder", "replace-me", "xxxx")
_DRIVER = "postgresql+psycopg"
_SHORTEST_KEY = 32


class SecretError(Exception):
    """A secret file is missing, empty, a placeholder or of the wrong form. The text never contains the secret."""


def read_secret(path: Path) -> str:
    """Return the content of a mounted secret, stripped.

    Raises:
        SecretError: the file cannot be read, is empty, or holds a placeholder.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"secret file {path}: cannot be read ({error}); mount it or correct the setting") from error
    if not text:
        raise SecretError(f"secret file {path}: is empty; write the secret into it")
    if any(word in text.lower() for word in _PLACEHOLDERS):
        raise SecretError(f"secret file {path}: holds a placeholder; write a real secret into it")
    return text


def read_key(path: Path) -> str:
    """Return a mounted key that clients send.

    Raises:
        SecretError: as `read_secret`, or the key is so short that it could be guessed.
    """
    key = read_secret(path)
    if len(key) < _SHORTEST_KEY:
        raise SecretError(f"secret file {path}: {len(key)} characters; allowed: at least {_SHORTEST_KEY} random ones")
    return key


def read_redis_url(path: Path) -> str:
    """Return the Redis address in a mounted secret file.

    Raises:
        SecretError: as `read_secret`, or the text is not a Redis address.
    """
    url = read_secret(path)
    if not url.startswith(("redis://", "rediss://")) and parse_sentinels(url) is None:
        raise SecretError(
            f"secret file {path}: is not a Redis address; allowed: redis(s)://[:password@]host[:port]/0 "
            f"or {SENTINEL_FORM}"
        )
    return url


def read_database_url(path: Path) -> URL:
    """Return the database address in a mounted secret file.

    Raises:
        SecretError: as `read_secret`, or the text is not a `postgresql+psycopg://` address with host and database.
    """
    try:
        url = make_url(read_secret(path))
    except (ArgumentError, ValueError):
        # `from None`: the library's message repeats the text, password included.
        raise SecretError(
            f"secret file {path}: is not a database address; allowed: {_DRIVER}://user:password@host/name"
        ) from None
    if url.drivername != _DRIVER or not url.host or not url.database:
        raise SecretError(
            f"secret file {path}: driver {url.drivername!r}, host {url.host!r}, database {url.database!r}; "
            f"allowed: {_DRIVER}://user:password@host/name"
        )
    return url
