"""Locks that a killed run has left on a state in files: found, checked, and let go of.

Pulumi's file backend removes a lock only when it ends in order. A run that was killed leaves it, and sometimes its
`pulumi` process too. Whether that process still lives decides: the lock file names it (pid and host).
"""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

ORPHAN_SECONDS = 90.0
POLL_SECONDS = 0.5


@final
@dataclass(frozen=True)
class Lock:
    """A lock file of Pulumi's file backend."""

    path: Path
    pid: int
    hostname: str

    @property
    def here(self) -> bool:
        """Whether it was taken on this machine."""
        return self.hostname == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether its holder runs."""
        return _parent(self.pid) is not None

    @property
    def orphan(self) -> bool:
        """Whether its holder runs on although whoever started it is gone (adopted by process 1)."""
        return _parent(self.pid) == 1


def locks(state: Path, project: str, stack: str) -> Iterator[Lock]:
    """The locks on a stack.

    Args:
        state: folder of the file backend.
        project: the project's name.
        stack: the stack's name.
    """
    folder = state / ".pulumi" / "locks" / "organization" / project / stack
    for path in sorted(folder.glob("*.json")):
        try:
            found = json.loads(path.read_text())
            yield Lock(path, int(found["pid"]), str(found["hostname"]))
        except (OSError, ValueError, KeyError):
            continue


def release(state: Path, project: str, stack: str) -> bool:
    """Let go of what killed runs on this machine have left; a run that somebody watches is left alone.

    An orphaned `pulumi` is asked to end in order (it then notes what it had begun), and killed if it does not.

    Returns:
        Whether anything was let go of.
    """
    released = False
    for lock in locks(state, project, stack):
        if not lock.here:
            continue
        if lock.orphan:
            _end(lock)
        if not lock.alive:
            lock.path.unlink(missing_ok=True)
            released = True
    return released


def _end(lock: Lock) -> None:
    for number, patience in ((signal.SIGINT, ORPHAN_SECONDS), (signal.SIGKILL, ORPHAN_SECONDS)):
        try:
            os.kill(lock.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while lock.alive and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if not lock.alive:
            return


def _parent(pid: int) -> int | None:
    """The parent of a process; None if there is no such process (or only its remains)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[1])
