"""Cores and CPU time."""

import os
import subprocess
import sys

import pytest

from loadtests.bench import machine

SPIN = """
import os, sys
if not ({child} and os.fork()):
    while os.times().user < 0.3:
        pass
    print("done", flush=True)
sys.stdin.read()
"""


def test_server_and_generator_get_a_core_each():
    one, other = machine.two_cores()
    assert one != other
    assert {one, other} <= os.sched_getaffinity(0)


def test_one_core_is_too_few(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3})
    with pytest.raises(machine.TooFewCoresError, match="takes two"):
        machine.two_cores()


def test_what_is_started_stays_on_its_core_and_we_do_not():
    before = os.sched_getaffinity(0)
    with machine.on_core(min(before)):
        tell = [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]
        assert subprocess.run(tell, capture_output=True, text=True, check=True).stdout == f"{ {min(before)} }\n"
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("child", [False, True])
def test_cpu_of_a_process_and_its_children_is_counted(child):
    command = [sys.executable, "-c", SPIN.format(child=child)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        assert machine.cpu_seconds(process.pid) >= 0.29
        process.kill()
