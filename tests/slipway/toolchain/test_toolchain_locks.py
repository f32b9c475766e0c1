"""Locks that a killed holder cannot leave behind."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from slipway.toolchain import locks

HOLD = """
import sys
from pathlib import Path
from slipway.toolchain import locks
with locks.hold([Path(sys.argv[1])]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks/it.lock"


@pytest.fixture
def other_process(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_an_orderly_end_leaves_no_trace(path):
    with locks.hold([path]):
        assert locks.holder(path) == f"process {os.getpid()}"
    assert locks.holder(path) == ""
    with locks.hold([path]) as held:
        assert not held.unclean


def test_an_error_is_an_orderly_end(path):
    with pytest.raises(RuntimeError), locks.hold([path]):
        raise RuntimeError
    with locks.hold([path]) as held:
        assert not held.unclean


def test_a_second_holder_is_told_of_the_first_and_waits(path, other_process):
    told = []

    def on_wait(holder):
        told.append(holder)
        other_process.stdin.close()  # lets it go

    with locks.hold([path], on_wait) as held:
        assert not held.unclean
    assert told == [f"process {other_process.pid}"]


def test_a_killed_holder_is_noticed(path, other_process):
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    with locks.hold([path]) as held:
        assert held.unclean


def test_waiting_can_be_called_off(path, other_process):
    assert other_process.poll() is None
    cancelled = threading.Event()
    with pytest.raises(InterruptedError), locks.hold([path], lambda _who: cancelled.set(), cancelled):
        raise AssertionError("the other process holds it")


def test_the_first_free_of_several_is_taken(path, other_process):
    assert other_process.poll() is None
    free = path.with_name("free.lock")
    with locks.hold([path, free]) as held:
        assert held.path == free


def test_nobody_holds_a_lock_that_was_never_taken(path):
    assert locks.holder(path) == ""
