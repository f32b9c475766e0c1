"""File locks that several runs on one machine share, and that a killed run cannot leave behind."""

import fcntl
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Held:
    """A lock that is held.

    Attributes:
        path: The lock's file.
        unclean: The holder before was killed while it held the lock.
    """

    path: Path
    unclean: bool


def _try(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def holder(path: Path) -> str:
    """Who says to hold a lock: ``process 1234``, or an empty string."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


@contextmanager
def hold(
    paths: Sequence[Path],
    on_wait: Callable[[str], None] = lambda _holder: None,
    cancelled: threading.Event | None = None,
) -> Generator[Held]:
    """Holds one of several locks, the first that is free; waits while none is.

    The kernel drops the lock when the process ends, however it ends. While it is held its file names the process; a
    holder that ends in order empties the file, so text in a free lock's file tells of one that was killed.

    Args:
        paths: Lock files (made if missing; never deleted, a deleted lock file would let two holders in).
        on_wait: Called once, with who holds the first lock, if none is free at first.
        cancelled: Waiting ends when this is set.

    Raises:
        InterruptedError: `cancelled` was set while waiting.
    """
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    pause = cancelled or threading.Event()
    told = False
    while True:
        for path in paths:
            descriptor = _try(path)
            if descriptor is not None:
                break
        else:
            if not told:
                told = True
                on_wait(holder(paths[0]))
            # Polled, not blocked on: a wait in flock() could not be called off from another thread.
            if pause.wait(_POLL_SECONDS):
                raise InterruptedError(f"gave up waiting for {paths[0]}")
            continue
        break
    try:
        unclean = bool(os.pread(descriptor, 1, 0))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        yield Held(path, unclean)
        os.ftruncate(descriptor, 0)
    except Exception:  # an error is an orderly end as well; only a kill leaves the text
        os.ftruncate(descriptor, 0)
        raise
    finally:
        os.close(descriptor)
