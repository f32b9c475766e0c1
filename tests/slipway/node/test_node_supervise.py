"""What supervisorctl says of programs is read once, for whoever asks for a state or a process."""

import pytest

from slipway.node import supervise
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec

SAID = """\
control-plane:etcd               RUNNING   pid 4711, uptime 0:01:02
control-plane:kube-apiserver     BACKOFF   Exited too quickly (process log may have details)
node1:kubelet-node1              STOPPED   Nov 21 10:00 AM
alone                            RUNNING   pid 4712, uptime 1 day, 0:01:02
"""


@pytest.fixture
def spec(monkeypatch):
    monkeypatch.setattr(supervise, "pid", lambda _spec: 1)
    monkeypatch.setattr(supervise, "control", lambda _spec, *_command, **_options: SAID)
    return ClusterSpec(name="test")


def test_each_program_has_a_state_whatever_its_machine(spec):
    assert supervise.states(spec) == {
        "etcd": "RUNNING",
        "kube-apiserver": "BACKOFF",
        "kubelet-node1": "STOPPED",
        "alone": "RUNNING",
    }


def test_a_program_that_runs_has_a_process(spec):
    assert supervise.program_pid(spec, "etcd") == 4711
    assert supervise.program_pid(spec, "alone") == 4712


@pytest.mark.parametrize("program", ["kube-apiserver", "kubelet-node1", "other"])
def test_one_that_does_not_run_has_none(spec, program):
    with pytest.raises(NodeError, match=f"{program} does not run"):
        supervise.program_pid(spec, program)
