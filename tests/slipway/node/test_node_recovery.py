"""A snapshot of a real etcd, and a real API server on what it becomes; the whole of it is in tests/e2e/recovery."""

import json
import shutil

import pytest
from rollout_control_plane import control_plane

from slipway.node import recovery
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec
from slipway.toolchain import Toolchain

MAPS = "/api/v1/namespaces/default/configmaps"
PEER = "http://127.0.0.1:2380"


@pytest.fixture(scope="module")
def tools():
    return Toolchain().ensure(["etcdctl", "etcdutl"])


def write(running, name):
    made = running.request("POST", MAPS, json={"metadata": {"name": name}, "data": {"is": name}})
    assert made.status_code == 201, made.text
    return made.json()["metadata"]["resourceVersion"]


def names(running):
    return {it["metadata"]["name"] for it in running.request("GET", MAPS).json()["items"]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tools):
    """A snapshot, and the newest revision of the control plane that is lost after it."""
    folder = tmp_path_factory.mktemp("lost")
    target = tmp_path_factory.mktemp("saved") / "etcd.db"
    with control_plane(folder) as running:
        write(running, "before")
        recovery.snapshot(tools["etcdctl"], running.etcd, target)
        newest = write(running, "after")
    assert not (folder / "etcd").exists()
    return target, newest


def test_what_was_there_at_the_snapshot_is_back_and_nothing_later(saved, tools, tmp_path):
    source, newest = saved
    assert source.stat().st_mode & 0o077 == 0
    recovery.unpack(tools["etcdutl"], source, tmp_path / "etcd", name="default", peer=PEER)
    with control_plane(tmp_path) as running:
        found = names(running)
        assert "before" in found
        assert "after" not in found
        # Whoever has seen the lost revisions is sent to list anew, instead of being given others under their numbers.
        watch = running.request("GET", MAPS, params={"watch": "true", "resourceVersion": newest, "timeoutSeconds": 2})
        assert json.loads(watch.text.splitlines()[0])["object"]["code"] == 410
        assert int(write(running, "later")) > int(newest)


def test_a_damaged_snapshot_is_refused(saved, tools, tmp_path):
    raw = bytearray(saved[0].read_bytes())
    middle = raw.index(b"before")
    raw[middle : middle + 6] = b"BEFORE"
    (tmp_path / "etcd.db").write_bytes(raw)
    with pytest.raises(NodeError, match="failed with exit code"):
        recovery.unpack(tools["etcdutl"], tmp_path / "etcd.db", tmp_path / "etcd", name="default", peer=PEER)


def test_an_etcd_that_does_not_answer_is_told(tools, tmp_path):
    with pytest.raises(NodeError, match="snapshot save"):
        recovery.snapshot(
            tools["etcdctl"], "http://127.0.0.1:1", tmp_path / "etcd.db", ["--dial-timeout=1s", "--command-timeout=2s"]
        )


class Supplies:
    """Stands for the toolchain; `unpack` makes the folder that etcdutl would."""

    def binary(self, name):
        return name


@pytest.fixture
def folder(tmp_path):
    """What `save` writes, without an etcd."""
    made = tmp_path / "saved"
    (made / "pki").mkdir(parents=True)
    (made / "control-plane").mkdir()
    (made / "spec.json").write_text(json.dumps(ClusterSpec(name="it").to_dict()))
    (made / "control-plane/encryption.yaml").write_text("key of secrets")
    (made / "pki/ca.key").write_text("key of the authority")
    return made


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cluster's folder whose control plane can be brought back without one."""
    monkeypatch.setattr("slipway.node.spec.STATE_ROOT", tmp_path / "lib")
    monkeypatch.setattr("slipway.node.cluster.LOCK_ROOT", tmp_path / "lock")
    monkeypatch.setattr(recovery, "create", lambda *_: None)
    monkeypatch.setattr(recovery, "unpack", lambda _tool, _source, data, **_: data.mkdir(parents=True))
    return ClusterSpec(name="it").home


def test_keys_and_the_spec_come_back_to_a_disk_that_has_nothing(folder, home):
    assert recovery.restore(folder, Supplies(), lambda _text: None) == ClusterSpec(name="it")
    assert (home / "pki/ca.key").read_text() == "key of the authority"
    assert (home / "control-plane/encryption.yaml").read_text() == "key of secrets"
    assert (home / "control-plane/etcd").is_dir()


def test_an_etcd_that_is_there_is_moved_aside_and_only_once(folder, home):
    (home / "control-plane/etcd").mkdir(parents=True)
    (home / "control-plane/etcd/old").touch()
    recovery.restore(folder, Supplies(), lambda _text: None)
    assert (home / "control-plane/etcd.before-restore/old").exists()
    shutil.rmtree(home / "pki")
    with pytest.raises(NodeError, match=r"etcd.before-restore is there from a restore before"):
        recovery.restore(folder, Supplies(), lambda _text: None)
    assert not (home / "pki").exists()
