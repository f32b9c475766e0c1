"""A folder of a node that holds no more than it is told: a file with a file system in it, mounted on the node.

Volumes of the nodes share this machine's disk, and none of them is ever full before all are. What must happen on a full
one is tried on such a folder. It is gone when the node is switched off.
"""

from pathlib import Path

from slipway.node import machine
from slipway.node.shell import run
from slipway.node.spec import ClusterSpec, Node

FOLDER = "small-disks"


def folder(node: Node, name: str) -> Path:
    """Where it is."""
    return node.home / FOLDER / name


def make(spec: ClusterSpec, node: Node, name: str, size: int) -> Path:
    """Make it, empty, for anyone to write to.

    Args:
        spec: The cluster.
        node: Whose it is; switched on.
        name: What it is called among those of the node.
        size: In bytes, of which its file system needs some itself.

    Raises:
        NodeError: It cannot be made or mounted.
    """
    place = folder(node, name)
    place.mkdir(parents=True)
    image = _image(node, name)
    with image.open("wb") as file:
        file.truncate(size)
    run("mkfs.ext4", "-q", "-m", "0", str(image))
    on_node(spec, node, "mount", "-o", "loop", str(image), str(place))
    on_node(spec, node, "chmod", "0777", str(place))
    return place


def remove(spec: ClusterSpec, node: Node, name: str) -> None:
    """Take it away with all that is on it; harmless if it is not there."""
    place = folder(node, name)
    if machine.is_on(spec, node):
        mounted = '! mountpoint -q "$1" || umount "$1"'
        on_node(spec, node, "sh", "-c", mounted, "sh", str(place))
    if place.exists():
        place.rmdir()
    _image(node, name).unlink(missing_ok=True)


def on_node(spec: ClusterSpec, node: Node, *command: str) -> str:
    """Run a program where the disk is mounted, and return what it printed.

    Raises:
        NodeError: It failed.
    """
    return run("nsenter", f"--mount={machine.mount_namespace(spec, node)}", *command)


def _image(node: Node, name: str) -> Path:
    return node.home / FOLDER / f"{name}.img"
