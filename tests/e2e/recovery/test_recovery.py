"""The disk of the control plane is lost, and what `slipway recovery` saved brings the cluster back.

The commands are those of docs/how-to/recovery.md. On a bare cluster, made without Pulumi; its nodes and a pod on them
must not notice more than silence. One cluster, tests in the order in which they stand.
"""

import json
import shutil
import time

import pytest

from slipway import node
from slipway.node import supervise
from slipway.node.cluster import kubectl_of, ready_nodes
from slipway.node.errors import NodeError
from slipway.node.spec import image_reference
from slipway.node.stock import Stock

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

BARE = node.ClusterSpec(name="lost", network="10.127.0.0/24", nodes=2)
STOCK = Stock()


@pytest.fixture(scope="module")
def lost():
    node.destroy(BARE.name)
    try:
        node.create(BARE, STOCK)
        yield kubectl_of(BARE, STOCK)
    finally:
        node.destroy(BARE.name)


@pytest.fixture(scope="module")
def saved(cluster_by_name, tmp_path_factory, lost):
    """The file, of a moment when there were a pod, a plain object and a secret one."""
    image = image_reference("pause", STOCK.image_digest("pause"))
    pod = {"containers": [{"name": "pause", "image": image}], "terminationGracePeriodSeconds": 1}
    lost.apply(
        [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stays", "namespace": "default"}, "spec": pod},
            configmap("before"),
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "sealed", "namespace": "default"},
                "stringData": {"is": "a secret"},
            },
        ]
    )
    lost("wait", "pod/stays", "--for=condition=Ready", "--timeout=120s", timeout=130)
    folder = tmp_path_factory.mktemp("saved")
    it = cluster_by_name(BARE.name, folder)
    done = it.slipway("recovery", "save", str(folder / "all.tar"))
    assert done.returncode == 0, done.stderr
    lost.apply([configmap("after")])
    return it, folder / "all.tar", container(lost)


def configmap(name):
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"is": name}}


def container(kubectl):
    """The pod's container: its id and how often it was started."""
    (status,) = kubectl.get("pod", "stays", "--namespace=default")[0]["status"]["containerStatuses"]
    return status["containerID"], status["restartCount"], "running" in status["state"]


def until(question, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            if question():
                return
        except NodeError:
            pass
        assert time.monotonic() < end
        time.sleep(1)


def test_the_file_is_its_owners_alone(saved):
    assert saved[1].stat().st_mode & 0o777 == 0o600


def test_the_cluster_comes_back_from_a_disk_with_nothing(saved, lost):
    it, file, before = saved
    supervise.stop_machine(BARE, BARE.control_plane.name)
    for name in ("etcd", "encryption.yaml"):
        path = BARE.home / "control-plane" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(BARE.home / "pki")
    (BARE.home / "spec.json").unlink()
    assert not lost.ready()
    done = it.slipway("recovery", "restore", str(file))
    assert done.returncode == 0, done.stderr
    until(lambda: len(ready_nodes(lost)) == BARE.nodes)
    assert node.healthy(BARE)
    # The pod went on meanwhile: the same container, never started again.
    assert container(lost) == before


def test_what_was_saved_is_there_and_what_came_later_is_not(saved, lost):
    assert saved
    names = {there["metadata"]["name"] for there in lost.get("configmap", "--namespace=default")}
    assert "before" in names
    assert "after" not in names
    (secret,) = lost.get("secret", "sealed", "--namespace=default")
    assert secret["data"]["is"] == "YSBzZWNyZXQ="


def test_it_takes_work_again(saved, lost):
    """Controllers and kubelets look at the new etcd: a Deployment becomes pods, and a deleted pod goes."""
    assert saved
    image = image_reference("pause", STOCK.image_digest("pause"))
    labels = {"app": "later"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "pause", "image": image}]}}
    lost.apply(
        [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "later", "namespace": "default"},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
            }
        ]
    )
    lost("rollout", "status", "deployment/later", "--namespace=default", "--timeout=120s", timeout=130)
    lost("delete", "pod", "stays", "--namespace=default", "--timeout=60s", timeout=70)


def test_a_second_restore_over_a_living_etcd_moves_it_aside(saved, lost):
    it, file, _ = saved
    assert it.slipway("recovery", "restore", str(file), "--only", "control-plane").returncode == 0
    assert (BARE.home / "control-plane" / "etcd.before-restore").is_dir()
    until(lambda: len(ready_nodes(lost)) == BARE.nodes)
    again = it.slipway("recovery", "restore", str(file))
    assert again.returncode == 1
    assert "is there from a restore before" in again.stderr
    assert json.loads((BARE.home / "spec.json").read_text())["name"] == BARE.name
