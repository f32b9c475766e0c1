"""Switching nodes on and off: the mount namespace that a node's containerd, kubelet and pods share.

A node's namespace has its own `/run`-like folders on tmpfs, as a real machine's are empty after power comes back:
containerd's state, the pods' network namespaces and their addresses. When the node is stopped the namespace goes,
and with it every mount of every pod; what lies on disk (images, volumes, logs) stays.
"""

from pathlib import Path

from slipway.node import cgroups, network
from slipway.node.shell import run
from slipway.node.spec import ClusterSpec, Node

PRIVATE_FOLDERS = ("/run/netns", "/run/containerd", "/run/cni", "/var/lib/cni", "/var/log/containers")
DISK_FOLDERS = {"/var/log/pods": "pod-logs", "/var/lib/log-collector": "log-collector"}
"""Where pods look for things of their node -> where on the node's disk they are: each node has its own."""
NAMESPACES_FOLDER = "run"


def mount_namespace(spec: ClusterSpec, node: Node) -> Path:
    """The file that holds the node's mount namespace."""
    return spec.home / NAMESPACES_FOLDER / f"{node.name}.mnt"


def is_on(spec: ClusterSpec, node: Node) -> bool:
    """Whether the node's mount namespace is there."""
    return _is_mount(mount_namespace(spec, node))


def switch_on(spec: ClusterSpec, node: Node) -> None:
    """Make the node's namespaces and group, unless they are there."""
    network.ensure_machine(spec, node)
    cgroups.ensure(f"{node.cgroup}/system")
    holder = mount_namespace(spec, node)
    if _is_mount(holder):
        return
    for folder in (*PRIVATE_FOLDERS, *DISK_FOLDERS, *(node.home / kept for kept in DISK_FOLDERS.values())):
        Path(folder).mkdir(parents=True, exist_ok=True)
    # A mount namespace can only be held by a file whose own mount is private.
    parent = holder.parent
    parent.mkdir(parents=True, exist_ok=True)
    if not _is_mount(parent):
        run("mount", "--bind", str(parent), str(parent))
    run("mount", "--make-private", str(parent))
    holder.touch(mode=0o600)
    run("unshare", f"--mount={holder}", "--propagation=slave", "true")
    inside = ("nsenter", f"--mount={holder}")
    # The copies of this machine's network namespaces would keep those alive after they are deleted.
    run(*inside, "umount", "--recursive", "--lazy", str(network.NAMESPACES), check=False)
    for folder in PRIVATE_FOLDERS:
        run(*inside, "mount", "-t", "tmpfs", "-o", "mode=0755", "slipway", folder)
    for folder, kept in DISK_FOLDERS.items():
        run(*inside, "mount", "--bind", str(node.home / kept), folder)
    # Mounts that the kubelet makes later must reach containers that ask for them.
    run(*inside, "mount", "--make-rshared", "/")


def switch_off(spec: ClusterSpec, node: Node) -> None:
    """Pull the plug: every process of the node ends at once, its mounts and pod networks vanish."""
    cgroups.kill(node.cgroup)
    release(mount_namespace(spec, node))
    cgroups.remove(node.cgroup)
    network.remove_machine(node)


def release(holder: Path) -> None:
    """Let go of a held mount namespace; the kernel unmounts all that was mounted in it."""
    if _is_mount(holder):
        run("umount", str(holder))
    holder.unlink(missing_ok=True)


def _is_mount(path: Path) -> bool:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(path) for line in mounts)


def unmount_below(folder: Path) -> None:
    """Unmount everything mounted at or below a folder in this namespace, deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [m for m in mounts if m == str(folder) or m.startswith(f"{folder}/")]
    for mount in sorted(below, key=len, reverse=True):
        run("umount", mount)
