import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.node.errors import NodeError
from slipway.node.processors import kept

#: Says that it is there with a thread of its own, and starts a program when it is told to.
PROGRAM = """
import subprocess, sys, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("there", flush=True)
sys.stdin.readline()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
sys.stdin.readline()
child.kill()
"""
EVERY = os.sched_getaffinity(0)
ONE = {min(EVERY)}


class Running:
    """A program with two threads."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=-1, stdout=-1, text=True)
        assert self.process.stdout.readline() == "there\n"
        self.child = None

    def start(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.child = int(self.process.stdout.readline())

    def all(self):
        return {self.process.pid, *({self.child} - {None})}

    def allowed(self):
        threads = [int(it.name) for pid in self.all() for it in Path(f"/proc/{pid}/task").iterdir()]
        assert len(threads) >= 2
        [found] = {frozenset(os.sched_getaffinity(it)) for it in threads}
        return found


@pytest.fixture
def running():
    made = []

    def start():
        made.append(Running())
        return made[-1]

    yield start
    for it in made:
        it.process.communicate("\n\n", timeout=10)


def test_few_have_one_processor_and_nobody_else_is_on_it(running):
    few, others = running(), running()
    with kept(few.all, lambda: few.all() | others.all()):
        assert few.allowed() == ONE
        assert others.allowed() == EVERY - ONE
        assert os.sched_getaffinity(0) == EVERY - ONE
    assert few.allowed() == others.allowed() == os.sched_getaffinity(0) == EVERY


def test_what_is_started_in_between_is_kept_apart_too_and_is_free_again_afterwards(running):
    few, others = running(), running()
    with kept(few.all, others.all):
        few.start()
        others.start()
        assert (few.allowed(), others.allowed()) == (ONE, EVERY - ONE)
    assert few.allowed() == others.allowed() == EVERY


def test_all_are_free_again_after_an_error(running):
    few, others = running(), running()
    with pytest.raises(ZeroDivisionError), kept(few.all, others.all):
        raise ZeroDivisionError
    assert few.allowed() == others.allowed() == EVERY


def test_a_program_that_has_ended_does_not_stand_in_the_way(running):
    few, others = running(), running()
    with kept(lambda: few.all() | {2**22 + 1}, others.all):
        assert few.allowed() == ONE


def test_one_processor_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(NodeError, match="there is one; two or more are needed"), kept(set, set):
        pass
