"""What a cluster leaves on a machine: to know whether there is anything to remove, and to prove that nothing is."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

from slipway.node import cgroups, network
from slipway.node.shell import run
from slipway.node.spec import ClusterSpec


@final
@dataclass(frozen=True)
class Residue:
    """Everything on this machine that belongs to one cluster."""

    processes: tuple[int, ...]
    mounts: tuple[str, ...]
    namespaces: tuple[str, ...]
    links: tuple[str, ...]
    control_groups: tuple[str, ...]
    files: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        parts = (self.processes, self.mounts, self.namespaces, self.links, self.control_groups, self.files)
        return any(parts)


def find(name: str) -> Residue:
    """Look everywhere a cluster of that name puts something."""
    spec = ClusterSpec(name=name)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    links = [spec.bridge, spec.control_plane.link, *(node.link for node in spec.workers)]
    present = run("ip", "-oneline", "link")
    roots = (cgroups.version2_root(), *cgroups.version1_roots())
    return Residue(
        processes=tuple(sorted(cgroups.processes(spec.cgroup) | _supervisors(spec.home))),
        mounts=tuple(m for m in mounts if m == str(spec.home) or m.startswith(f"{spec.home}/")),
        namespaces=tuple(network.namespaces_of(name)),
        links=tuple(link for link in links if f": {link}:" in present or f": {link}@" in present),
        control_groups=tuple(str(root / spec.cgroup) for root in roots if (root / spec.cgroup).exists()),
        files=(str(spec.home),) if spec.home.exists() else (),
    )


def _supervisors(home: Path) -> set[int]:
    """Processes that were started with the cluster's folder in their arguments (supervisord and its launchers)."""
    found = set[int]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(part.startswith(f"{home}/".encode()) for part in arguments):
            found.add(int(entry.name))
    return found
