"""What supervisorctl says of programs is read once, for whoever asks for a state or a process."""

import time
from dataclasses import replace

import pytest

from slipway.node import supervise
from slipway.node.errors import NodeError
from slipway.node.programs import Program
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


@pytest.fixture
def supervised(monkeypatch, tmp_path):
    """A real supervisord with a program on each of two machines, which only sleep; and how its files are written."""
    monkeypatch.setattr("slipway.node.spec.STATE_ROOT", tmp_path)
    monkeypatch.setattr(supervise, "render_launcher", lambda it: f"exec {' '.join(it.arguments)}\n")
    spec = ClusterSpec(name="it")
    for folder in ("run", "log"):
        (spec.home / folder).mkdir(parents=True)

    def write(*listed):
        for it in listed:
            supervise.launcher(spec, it).write_text(supervise.render_launcher(it))
        (spec.home / "run" / "supervisord.conf").write_text(supervise.render(spec, listed))

    yield spec, write
    supervise.control(spec, "shutdown", check=False)


def until(true):
    while not true():  # the test has a timeout
        time.sleep(0.05)


def test_what_looks_different_goes_on_until_its_own_machine_is_updated(supervised):
    spec, write = supervised
    one = Program("one", "first", ("sleep", "600"), "", None, "", ())
    two, three = replace(one, name="two", machine="second"), replace(one, name="three", machine="third")
    write(one, two)
    supervise.start(spec)
    assert supervise.changed(spec) == frozenset(), "all are new"
    for machine in ("first", "second"):
        supervise.update(spec, machine)
        supervise.start_machine(spec, machine)
    until(lambda: set(supervise.states(spec).values()) == {"RUNNING"})
    before = {name: supervise.program_pid(spec, name) for name in ("one", "two")}

    later = [replace(it, arguments=("sleep", "601")) for it in (one, two)]
    write(*later, three)
    supervise.start(spec)
    assert supervise.changed(spec) == {"first", "second"}, "a machine that is new has not changed"
    supervise.update(spec, "first")
    supervise.start_machine(spec, "first")
    until(lambda: supervise.states(spec)["one"] == "RUNNING")
    assert supervise.program_pid(spec, "one") != before["one"]
    assert supervise.program_pid(spec, "two") == before["two"]

    write(*later)
    supervise.update(spec)
    assert set(supervise.states(spec)) == {"one", "two"}
