"""How many Go builds run at once, on this machine, over all runs."""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.toolchain import locks

_CORES_PER_BUILD = 4


@dataclass(frozen=True)
class Plan:
    """Builds at once, and processes that each may start (``go build -p``)."""

    builds: int
    processes: int


def plan(cores: int) -> Plan:
    """Divides the cores.

    Go compiles packages side by side itself and fills about four cores; what it cannot divide is the end of a build
    (one large package, then the linker). So: one build at a time below eight cores, with all of them; above that one
    build per four cores, and half as many processes again as its share, so that the ends of builds leave no core idle.
    """
    builds = max(1, cores // _CORES_PER_BUILD)
    return Plan(builds, max(1, cores if builds == 1 else (cores * 3) // (builds * 2)))


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Slots:
    """The right to build, shared with other runs on this machine through lock files.

    Args:
        folder: Where the lock files are.
        count: How many builds at once.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._paths = [folder / f"slot-{number}.lock" for number in range(count)]
        self._urgent = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(
        self,
        *,
        urgent: bool,
        on_wait: Callable[[str], None] = lambda _holder: None,
        cancelled: threading.Event | None = None,
    ) -> Generator[None]:
        """Holds one slot. What somebody waits for (`urgent`) goes before what is built ahead in the background."""
        with self._changed:
            if urgent:
                self._urgent += 1
            else:
                while self._urgent and not (cancelled and cancelled.is_set()):
                    self._changed.wait(0.2)
        try:
            with locks.hold(self._paths, on_wait, cancelled):
                yield
        finally:
            with self._changed:
                if urgent:
                    self._urgent -= 1
                self._changed.notify_all()
