"""Small disks, made for real: a file system in a file, mounted where this test runs."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.node import machine, small_disks
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec
from slipway.proof.faults import FillDisk

SPEC = ClusterSpec(name="disktest", nodes=1)
SIZE = 16 * 1024**2
MANY = b"x" * 1024**2


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "mount_namespace", lambda _spec, _node: Path("/proc/self/ns/mnt"))
    monkeypatch.setattr(machine, "is_on", lambda _spec, _node: True)
    made = replace(SPEC.workers[0], home=tmp_path)
    yield made
    small_disks.remove(SPEC, made, "log")


def filling(node):
    def there(_name, command):
        return small_disks.on_node(SPEC, node, *command)

    return FillDisk(there, node.name, str(small_disks.folder(node, "log")), str(2 * SIZE))


def left(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_it_holds_no_more_than_it_is_told_until_it_is_given_room(node):
    folder = small_disks.make(SPEC, node, "log", SIZE)
    assert SIZE / 2 < left(folder) < SIZE
    assert folder.stat().st_mode & 0o777 == 0o777, "whoever runs there writes to it"
    filling(node).inject()
    assert left(folder) < len(MANY), "to a few blocks that only small files get"
    with pytest.raises(OSError, match="No space left"):
        (folder / "more").write_bytes(MANY)
    filling(node).heal()
    (folder / "more").write_bytes(MANY)


def test_what_is_removed_leaves_nothing_and_may_be_removed_again(node, tmp_path):
    folder = small_disks.make(SPEC, node, "log", SIZE)
    (folder / "some").write_bytes(MANY)
    for _ in range(2):
        small_disks.remove(SPEC, node, "log")
    assert [it for it in tmp_path.rglob("*") if it.is_file()] == []
    assert not os.path.ismount(folder)


def test_of_a_node_that_is_switched_off_what_lies_on_disk_is_removed(node, monkeypatch, tmp_path):
    small_disks.make(SPEC, node, "log", SIZE)
    small_disks.on_node(SPEC, node, "umount", str(small_disks.folder(node, "log")))  # as its namespace goes
    monkeypatch.setattr(machine, "is_on", lambda _spec, _node: False)
    small_disks.remove(SPEC, node, "log")
    assert [it for it in tmp_path.rglob("*") if it.is_file()] == []


def test_where_there_is_none_nothing_can_be_filled(node):
    with pytest.raises(NodeError, match="failed"):
        filling(node).inject()
