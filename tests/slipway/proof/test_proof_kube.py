import json
import sys

import pytest

from slipway.proof.kube import Kubectl, KubeError, node_is_ready, pod

POD = {
    "metadata": {"namespace": "dev", "name": "web-1", "uid": "u", "labels": {"a": "b"}},
    "spec": {"nodeName": "node-1"},
    "status": {
        "podIP": "10.1.1.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "web", "containerID": "containerd://abc", "ready": True, "restartCount": 2}],
    },
}
NODE = {"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def test_a_pod_is_read():
    read = pod(POD)
    assert (read.name, read.node, read.ready, read.leaving) == ("web-1", "node-1", True, False)
    assert (read.containers[0].identity, read.containers[0].restarts) == ("abc", 2)


def test_a_pod_that_is_only_an_entry_is_read():
    read = pod({"metadata": {"namespace": "dev", "name": "x", "uid": "u", "deletionTimestamp": "now"}})
    assert (read.node, read.ready, read.leaving, read.containers) == ("", False, True, ())


def test_nodes():
    assert node_is_ready(NODE)
    assert not node_is_ready(NODE | {"spec": {"unschedulable": True}})
    assert not node_is_ready(
        {"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    )
    assert not node_is_ready({"metadata": {"name": "n1"}})


@pytest.fixture
def kubectl(tmp_path):
    """A kubectl that writes down its arguments and answers as told."""

    def make(answer="", code=0):
        path = tmp_path / "kubectl"
        path.write_text(
            f"#!{sys.executable}\nimport sys\n"
            f"with open({str(tmp_path / 'seen')!r}, 'a') as f:\n    f.write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"sys.stdout.write({answer!r})\nsys.stderr.write('it said no' if {code} else '')\nsys.exit({code})\n"
        )
        path.chmod(0o755)
        return Kubectl(path, tmp_path / "config")

    make.seen = lambda: (tmp_path / "seen").read_text().splitlines()
    return make


def test_the_twin_asks_and_reads(kubectl, tmp_path):
    found = kubectl(json.dumps({"items": [POD]})).pods("dev", {"b": "2", "a": "1"})
    assert found == (pod(POD),)
    assert kubectl.seen() == [
        f"--kubeconfig {tmp_path / 'config'} --request-timeout=30s get pods -n dev -l a=1,b=2 -o json"
    ]
    assert kubectl(json.dumps({"items": [NODE]})).ready_nodes() == {"n1"}


def test_the_twin_acts(kubectl):
    made = kubectl()
    made.delete_pods("dev", ["web-1"])
    made.delete_pods("dev", ["web-1", "web-2"], at_once=True)
    made.uncordon("n1")
    words = [line.split("--request-timeout=30s ")[1] for line in kubectl.seen()]
    assert words == [
        "delete pod -n dev web-1 --wait=false",
        "delete pod -n dev web-1 web-2 --wait=false --grace-period=0 --force",
        "uncordon n1",
    ]


def test_the_twin_drains(kubectl):
    kubectl(json.dumps({"items": []})).drain("n1", within=60)
    words = [line.split("--request-timeout=30s ")[1] for line in kubectl.seen()]
    assert words == ["cordon n1", "get pods --output=json --all-namespaces --field-selector=spec.nodeName=n1"]
    with pytest.raises(KubeError, match="n1 runs dev/web-1, which nothing would start again"):
        kubectl(json.dumps({"items": [POD]})).drain("n1", within=60)


def test_a_refusal_says_the_command_and_the_reason(kubectl, tmp_path):
    with pytest.raises(KubeError, match="uncordon n1 ended with 3: it said no"):
        kubectl(code=3).uncordon("n1")
    with pytest.raises(KubeError, match="No such file"):
        Kubectl(tmp_path / "none", tmp_path / "config").uncordon("n1")
