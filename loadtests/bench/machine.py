"""The machine: which cores who runs on, and how much CPU a program and its workers have used."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # of the fields after the name in /proc/<pid>/stat


class TooFewCoresError(Exception):
    """Server and generator would share a core, so neither could be measured."""


def two_cores() -> tuple[int, int]:
    """One core for the server that is measured, and one for everything else.

    Raises:
        TooFewCoresError: this process may use one only.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:  # noqa: PLR2004 - one for each
        raise TooFewCoresError(f"this process may use core {allowed} only; measuring takes two: give it another one")
    return allowed[0], allowed[1]


@contextmanager
def on_core(core: int) -> Generator[None]:
    """What is started in the block runs on this core alone, for as long as it lives."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """CPU that a process and its children have used since they began, user and system."""
    return sum(_of(one) for one in family(pid)) / _TICKS


def family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for task in (_PROC / str(pid) / "task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            yield from family(int(child))


def _of(pid: int) -> int:
    # The name stands in parentheses and may hold anything, parentheses too.
    fields = (_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()
    return int(fields[_USER]) + int(fields[_SYSTEM])
