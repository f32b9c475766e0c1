"""Password hashing with argon2id: slow on purpose, so only a few at a time."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# 19 MiB and two passes (OWASP's minimum): about 25 ms. Each hash under way holds that memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE = BoundedSemaphore(2)
_WAIT_SECONDS = 1.0
# Verified for unknown users, so that they take as long as known ones.
_NOBODY = _HASHER.hash("the password of nobody")


class HashingBusyError(Exception):
    """Too many passwords are being hashed; nothing was decided."""


@contextmanager
def _slot() -> Generator[None]:
    if not _AT_ONCE.acquire(timeout=_WAIT_SECONDS):
        raise HashingBusyError
    try:
        yield
    finally:
        _AT_ONCE.release()


def hash_password(password: str) -> str:
    """Return the hash to store.

    Raises:
        HashingBusyError: no slot in time.
    """
    with _slot():
        return _HASHER.hash(password)


def verify_password(password: str, stored: str | None) -> bool:
    """True if the password is the stored one; takes as long for None, which is never right.

    Raises:
        HashingBusyError: no slot in time.
    """
    with _slot():
        try:
            return _HASHER.verify(stored or _NOBODY, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(stored: str) -> bool:
    """True if the hash was made with weaker settings than today's."""
    return _HASHER.check_needs_rehash(stored)
