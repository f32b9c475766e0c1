"""Which processors programs may use: while something is measured, one is kept for it.

The kernel has it for each thread, and what a thread starts inherits it (sched_setaffinity(2)); so control groups, which
are the container runtime's, stay as they are.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from slipway.node.errors import NodeError

_TASKS = "/proc/{}/task"


@contextmanager
def kept(few: Callable[[], set[int]], others: Callable[[], set[int]]) -> Generator[None]:
    """In its block one processor is for few programs alone; they have no other.

    What others, this program and all that they start use are the rest. At its end every one may use all that this
    program could, those included that were started in between.

    Args:
        few: the processes that one processor is kept for, as they are now.
        others: those that must keep off it; the few may be among them.

    Raises:
        NodeError: there is one processor, so none can be kept.
    """
    every = os.sched_getaffinity(0)
    if len(every) == 1:
        raise NodeError("a processor is to be kept for what is measured, and there is one; two or more are needed")
    one = {min(every)}
    try:
        _allow(lambda: (others() | {os.getpid()}) - few(), every - one)
        _allow(few, one)
        yield
    finally:
        _allow(lambda: others() | few() | {os.getpid()}, every)


def _allow(processes: Callable[[], set[int]], processors: set[int]) -> None:
    """Every thread of them, until a look finds no other: a program may start one while it is looked at."""
    while sum(_set(thread, processors) for process in processes() for thread in _threads(process)):
        pass


def _threads(process: int) -> list[int]:
    try:
        return [int(it.name) for it in Path(_TASKS.format(process)).iterdir()]
    except FileNotFoundError:
        return []


def _set(thread: int, processors: set[int]) -> bool:
    """Whether that changed anything: a thread that has ended, or whose control group allows less, is left at that."""
    try:
        before = os.sched_getaffinity(thread)
        if before != processors:
            os.sched_setaffinity(thread, processors)
        return os.sched_getaffinity(thread) != before
    except ProcessLookupError:
        return False
