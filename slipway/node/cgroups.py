"""Control groups: one per machine, so that a node is counted apart and can be killed whole.

Works on the hybrid layout (version 1 controllers and a version 2 tree without any, as on older systems) and on the
unified one. Processes are tracked in the version 2 tree, which pods' processes inherit on the hybrid layout and lie
below on the unified one: `cgroup.kill` there ends a node at once (Linux 5.14).
"""

import os
import signal
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from slipway.node.errors import NodeError

KILL_SECONDS = 20.0


@cache
def version2_root() -> Path:
    """Where the version 2 tree is mounted.

    Raises:
        NodeError: nowhere.
    """
    for fields in _mounts():
        if fields[2] == "cgroup2":
            return Path(fields[1])
    raise NodeError("no cgroup2 file system is mounted; mount one (`mount -t cgroup2 none /sys/fs/cgroup/unified`)")


@cache
def version1_roots() -> tuple[Path, ...]:
    """Where version 1 hierarchies are mounted (none on the unified layout)."""
    return tuple(Path(fields[1]) for fields in _mounts() if fields[2] == "cgroup")


def ensure(group: str) -> None:
    """Make the group in every hierarchy; a cpuset must be filled before it can hold a process."""
    for root in (version2_root(), *version1_roots()):
        path = root
        for part in group.split("/"):
            path = path / part
            path.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                value = path / name
                if root.name == "cpuset" and value.exists() and not value.read_text().strip():
                    value.write_text((path.parent / name).read_text())


def weigh(group: str, cores: int) -> None:
    """Let a group have as much of the processors, where they are short, as one program on each of so many has.

    Both figures are what a kernel gives a group by itself, once a core: 1024 in version 1, 100 in version 2.
    """
    for root in (version2_root(), *version1_roots()):
        for name, one in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if (path := root / group / name).exists():
                path.write_text(str(one * cores))


def procs_files(group: str) -> list[Path]:
    """Writing 0 there moves the writer into the group: where processes are tracked, and where processors are shared.

    On the hybrid layout the latter is another tree. Who is left at its root counts thread by thread there, and each of
    them as much as all pods together.
    """
    shared = [root for root in version1_roots() if "cpu" in root.name.split(",")]
    return [root / group / "cgroup.procs" for root in (version2_root(), *shared)]


def processes(group: str) -> set[int]:
    """The processes of a group and of all below it, in any hierarchy."""
    found = set[int]()
    for root in (version2_root(), *version1_roots()):
        for path in _tree(root / group):
            try:
                found.update(int(line) for line in (path / "cgroup.procs").read_text().split())
            except OSError:
                continue
    return found


def kill(group: str) -> None:
    """End every process of the group and below at once, and wait until none is left.

    Raises:
        NodeError: some would not end.
    """
    deadline = time.monotonic() + KILL_SECONDS
    while left := processes(group):
        for root in (version2_root(), *version1_roots()):
            for path in _tree(root / group):
                if (path / "cgroup.kill").exists():
                    (path / "cgroup.kill").write_text("1")
        for pid in left:
            _kill_one(pid)
        if time.monotonic() > deadline:
            raise NodeError(f"processes {sorted(left)} of control group {group!r} did not end in {KILL_SECONDS:g} s")
        time.sleep(0.05)


def cpu_seconds(group: str, name: str) -> float:
    """CPU time that a group, by its own name, somewhere below `group`, has used since it was made, with all in it.

    Raises:
        NodeError: there is none of that name.
    """
    for root in (version2_root(), *version1_roots()):
        for path in _tree(root / group):
            if path.name != name:
                continue
            if (path / "cpuacct.usage").is_file():
                return int((path / "cpuacct.usage").read_text()) / 1e9
            fields = dict(line.split() for line in _lines(path / "cpu.stat"))
            if "usage_usec" in fields:
                return int(fields["usage_usec"]) / 1e6
    raise NodeError(f"no control group {name!r} below {group!r} counts CPU time; is the pod still there?")


def remove(group: str) -> None:
    """Remove the group and all below it from every hierarchy.

    Raises:
        NodeError: a group is still busy after a while.
    """
    for root in (version2_root(), *version1_roots()):
        for path in reversed(list(_tree(root / group))):
            _remove_one(path)


def _remove_one(path: Path) -> None:
    deadline = time.monotonic() + KILL_SECONDS
    while path.exists():
        try:
            path.rmdir()
        except OSError as error:
            if time.monotonic() > deadline:
                raise NodeError(f"the control group {path} cannot be removed: {error}") from None
            time.sleep(0.05)


def _kill_one(pid: int) -> None:

    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _tree(top: Path) -> Iterator[Path]:
    """A group and all below, parents first."""
    if not top.is_dir():
        return
    yield top
    try:
        children = sorted(child for child in top.iterdir() if child.is_dir())
    except OSError:
        return
    for child in children:
        yield from _tree(child)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def _mounts() -> list[list[str]]:
    return [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
