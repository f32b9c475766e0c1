"""What the programs of a cluster itself use: those of its control plane and of its nodes, without any pod."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from slipway.node import cgroups, supervise
from slipway.node.spec import ClusterSpec

_PROC: Final = Path("/proc")
#: Below a node's group; the machine itself may be somebody's pod.
_PODS: Final = re.compile(r"/node\d+/kubepods")
_MEMORY: Final = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Places in /proc/PID/stat, counted behind the name: user, system, and both of children that have ended; the start.
_TIMES: Final = slice(11, 15)
_START: Final = 19


@final
@dataclass(frozen=True)
class Used:
    """A process: ticks from the machine's start to its own, seconds of CPU since, bytes that are its alone.

    CPU counts children that have ended: a container's shim starts a process for each probe. What runs inside of a
    container is counted there too, and a container that ends adds what it used in all its life: rather too much.
    """

    started: int
    cpu: float
    memory: int


def processes(spec: ClusterSpec, proc: Path = _PROC) -> Mapping[int, Used]:
    """Every process of the cluster's own programs, by number."""
    numbers = cgroups.processes(spec.cgroup) | ({own} if (own := supervise.pid(spec)) else set())
    return {number: used for number in sorted(numbers) if (used := process(number, proc)) is not None}


def process(number: int, proc: Path = _PROC) -> Used | None:
    """One process; None if it is a pod's, or has ended."""
    folder = proc / str(number)
    try:
        if _PODS.search((folder / "cgroup").read_text()):
            return None
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        memory = _MEMORY.search((folder / "status").read_text())
    except OSError:
        return None
    ticks = sum(map(int, fields[_TIMES]))
    return Used(int(fields[_START]), ticks / _TICKS, 0 if memory is None else int(memory[1]) * 1024)


def between(before: Mapping[int, Used], after: Mapping[int, Used]) -> float:
    """Seconds of CPU that were used between two looks, by what lives at the second."""
    return sum(
        now.cpu - (then.cpu if (then := before.get(number)) and then.started == now.started else 0.0)
        for number, now in after.items()
    )
