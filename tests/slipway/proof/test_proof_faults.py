import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.proof.faults import (
    DeletePod,
    DeletePods,
    FaultError,
    FillDisk,
    KillContainer,
    KillProgram,
    PauseContainer,
    Switch,
    Together,
    UnhealedError,
    first_process,
    injected,
    processes,
)
from slipway.proof.timeline import Timeline


class Node:
    """Records what is run on it; the process tree of any container is `tree`."""

    def __init__(self, tree="10 1\n11 10\n"):
        self.tree = tree
        self.ran = []

    def __call__(self, node, command):
        self.ran.append((node, list(command)))
        return self.tree if "cgroup" in " ".join(command) else ""


def here(_node, command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def pod(kube):
    kube.add("web-1", node="node-2")
    return kube.all[0]


def test_a_fault_is_healed_whatever_happens(clock):
    steps = []
    fault = Switch("x", lambda: steps.append("off"), lambda: steps.append("on"))
    with pytest.raises(ZeroDivisionError), injected(fault, Timeline(clock)):
        _ = 1 / 0
    assert steps == ["off", "on"]


def test_a_fault_that_fails_half_way_is_healed_too(clock):
    steps = []

    def off():
        steps.append("half")
        raise FaultError("no")

    with pytest.raises(FaultError, match="no"), injected(Switch("x", off, lambda: steps.append("on")), Timeline(clock)):
        steps.append("never")
    assert steps == ["half", "on"]


def test_a_heal_that_fails_says_what_is_left_to_undo(clock):
    def on():
        raise OSError("gone")

    timeline = Timeline(clock)
    told = "cut x could not be healed, undo it by hand: gone"
    with pytest.raises(UnhealedError, match=told) as caught, injected(Switch("cut x", lambda: None, on), timeline):
        raise ValueError("inner")
    assert isinstance(caught.value.__context__.__context__, ValueError)
    assert "error" in timeline.events()[0].detail


def test_deleting_a_pod(kube, pod):
    DeletePod(kube, pod).inject()
    assert kube.calls == [("delete", "dev", ("web-1",), False)]
    fault = DeletePod(kube, kube.all[0], at_once=True)
    fault.inject()
    fault.heal()
    assert kube.calls[-1][-1] is True
    assert fault.name == "delete pod web-1x at once"


def test_many_pods_are_deleted_by_one_command_for_each_namespace(kube):
    for namespace, name in (("dev", "web-1"), ("data", "db-1"), ("data", "db-2")):
        kube.add(name, namespace=namespace)
    fault = DeletePods(kube, tuple(kube.all))
    assert fault.name == "delete pods web-1, db-1, db-2 at once"
    fault.inject()
    fault.heal()
    assert kube.calls == [("delete", "data", ("db-1", "db-2"), True), ("delete", "dev", ("web-1",), True)]


def test_the_first_process_of_the_container_is_killed_on_its_node(pod):
    node = Node()
    fault = KillContainer(node, pod, "web")
    fault.inject()
    fault.heal()
    assert node.ran[0][1][-1] == "id-web-1"
    assert node.ran[1:] == [("node-2", ["kill", "-9", "10"])]


def test_a_container_that_is_not_there_is_named(pod):
    with pytest.raises(FaultError, match="has no running container 'db'; it has web"):
        KillContainer(Node(), pod, "db").inject()


@pytest.mark.parametrize("tree", ["", "10 1\n20 1\n"])
def test_what_to_kill_must_be_clear(pod, tree):
    with pytest.raises(FaultError, match="expected one first process"):
        KillContainer(Node(tree), pod, "web").inject()


def test_processes_and_their_numbers_inside():
    inside = processes("10 1\n\n11 7\n12 31\n")
    assert inside == {10: 1, 11: 7, 12: 31}
    # 12 may be a probe that runs in the container just now: nothing in it has started that one.
    assert first_process(inside) == 10


def test_the_script_finds_real_processes_by_their_cgroup(kube):
    # Our own group stands for a container's: each process in it is found with its number in this namespace.
    group = Path("/proc/self/cgroup").read_text().splitlines()[0]
    node = Node()
    kube.add("web-1")
    KillContainer(node, kube.all[0], "web").inject()
    script = node.ran[0][1]
    found = processes(here("", [*script[:-1], group]))
    assert found[os.getpid()] == os.getpid()


class Named(Node):
    """A node that also tells the names of processes."""

    def __call__(self, node, command):
        told = super().__call__(node, command)
        return "10 controller\n11 haproxy\n" if "comm" in " ".join(command) else told


def test_the_first_of_a_namespace_of_its_own_is_number_one(kube):
    """As in a container: `unshare` begins a namespace of processes, and what it starts is number 1 there."""
    kube.add("web-1")
    node = Node()
    KillContainer(node, kube.all[0], "web").inject()
    script = node.ran[0][1]
    group = Path("/proc/self/cgroup").read_text().splitlines()[0]
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "60"]) as outer:
        try:
            deadline = time.monotonic() + 10
            while not (children := Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert processes(here("", [*script[:-1], group]))[int(children[0])] == 1
        finally:
            outer.kill()


def test_a_program_is_killed_wherever_it_stands_in_its_container(pod):
    node = Named()
    fault = KillProgram(node, pod, "web", "haproxy")
    fault.inject()
    fault.heal()
    assert node.ran[1][1][-2:] == ["10", "11"]
    assert [(where, command[-1]) for where, command in node.ran[2:]] == [("node-2", "11")]


def test_real_processes_are_killed_though_one_has_gone_and_none_at_all_is_an_error(pod):
    gone, lives = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    gone.kill()
    gone.wait()
    node = Named()
    KillProgram(node, pod, "web", "haproxy").inject()
    script = node.ran[2][1][:4]
    here("", [*script, str(gone.pid), str(lives.pid)])
    assert lives.wait() == -signal.SIGKILL
    with pytest.raises(subprocess.CalledProcessError):
        here("", [*script, str(gone.pid), str(lives.pid)])


def test_a_program_that_is_not_there_is_named_with_those_that_are(pod):
    with pytest.raises(FaultError, match="runs no 'nginx'; it runs controller, haproxy"):
        KillProgram(Named(), pod, "web", "nginx").inject()


def test_the_script_tells_the_names_of_real_processes(pod):
    node = Named()
    KillProgram(node, pod, "web", "haproxy").inject()
    script = node.ran[1][1]
    told = here("", [*script[:4], str(os.getpid())])
    assert told.strip().split(" ", 1) == [str(os.getpid()), Path("/proc/self/comm").read_text().strip()]


def test_faults_together_are_all_healed_though_one_cannot_be():
    steps = []

    def refuses():
        raise OSError("no")

    faults = Together(
        (
            Switch("a", lambda: steps.append("a"), lambda: steps.append("a healed")),
            Switch("b", lambda: steps.append("b"), refuses),
        )
    )
    assert faults.name == "a and b"
    faults.inject()
    with pytest.raises(OSError, match="no"):
        faults.heal()
    assert steps == ["a", "b", "a healed"]


def test_a_pause_stops_and_heals_real_processes(pod):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:

        def on_node(node, command):
            return f"{child.pid} 1\n" if "cgroup" in " ".join(command) else here(node, command)

        def state():
            return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]

        fault = PauseContainer(on_node, pod, "web")
        fault.inject()
        while state() != "T":
            pass
        fault.heal()
        while state() == "T":
            pass
        fault.heal()  # nothing is left to undo
    finally:
        child.communicate(b"\n", timeout=20)
    assert child.returncode == 0


def test_a_pause_of_nothing_is_refused_and_heals(pod):
    node = Node("")
    fault = PauseContainer(node, pod, "web")
    with pytest.raises(FaultError, match="has no process on node-2"):
        fault.inject()
    fault.heal()
    assert len(node.ran) == 1


def test_a_filled_disk_is_given_back(tmp_path):
    fault = FillDisk(here, "node-1", str(tmp_path), "64K")
    fault.inject()
    assert (tmp_path / ".slipway-fill").stat().st_size == 65536
    fault.heal()
    fault.heal()
    assert list(tmp_path.iterdir()) == []
