import json
import os
import socket
import subprocess
import sys

import pytest

from infra import stranded

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
# Starts a sleeper, prints its number and ends: the sleeper is adopted by process 1.
ORPHANER = f"""
import subprocess
nowhere = subprocess.DEVNULL
print(subprocess.Popen({SLEEPER!r}, stdin=nowhere, stdout=nowhere, stderr=nowhere).pid)
"""


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "p" / "s"
    folder.mkdir(parents=True)
    return tmp_path, folder


def lock(folder, pid, hostname=None):
    path = folder / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "username": "u", "hostname": hostname or socket.gethostname()}))
    return path


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_run_is_let_go_of(state):
    root, folder = state
    path = lock(folder, dead_pid())
    assert stranded.release(root, "p", "s")
    assert not path.exists()


def test_the_lock_of_a_run_that_somebody_watches_stays(state):
    root, folder = state
    with subprocess.Popen(SLEEPER) as watched:  # not this process: whoever started the tests may be gone
        try:
            path = lock(folder, watched.pid)
            assert not stranded.release(root, "p", "s")
            assert path.exists()
            assert watched.poll() is None
        finally:
            watched.kill()


def test_the_lock_of_another_machine_stays(state):
    root, folder = state
    path = lock(folder, dead_pid(), "elsewhere")
    assert not stranded.release(root, "p", "s")
    assert path.exists()


def test_an_orphaned_run_is_ended_and_its_lock_let_go_of(state, monkeypatch):
    monkeypatch.setattr(stranded, "ORPHAN_SECONDS", 5.0)
    root, folder = state
    pid = int(subprocess.run([sys.executable, "-c", ORPHANER], capture_output=True, text=True, check=True).stdout)
    path = lock(folder, pid)
    [found] = stranded.locks(root, "p", "s")
    if not found.orphan:
        os.kill(pid, 9)
        pytest.fail("the sleeper was not adopted by process 1; orphans cannot be told here")
    assert stranded.release(root, "p", "s")
    assert not path.exists()
    assert not found.alive


def test_a_torn_lock_file_is_passed_over(state):
    root, folder = state
    (folder / "x.json").write_text('{"pid": ')
    assert list(stranded.locks(root, "p", "s")) == []
