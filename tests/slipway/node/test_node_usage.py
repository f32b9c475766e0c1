"""What a cluster's own programs use: from real entries of /proc, and from made ones."""

import os
import subprocess
import sys

import pytest

from slipway.node.usage import Used, between, process

STAT = "{number} (a (b) c) S 1 1 1 0 -1 4194560 100 0 0 0 {user} {system} {children} {theirs} 20 0 5 0 {start} 1000 200"


def entry(folder, number, *, cgroup="0::/slipway-x/node1/system", start=50, times=(100, 50, 25, 25)):
    own = folder / str(number)
    own.mkdir()
    user, system, children, theirs = times
    (own / "cgroup").write_text(f"4:cpu,cpuacct:/\n{cgroup}\n")
    (own / "stat").write_text(
        STAT.format(number=number, user=user, system=system, children=children, theirs=theirs, start=start)
    )
    (own / "status").write_text("Name:\ta\nVmRSS:\t    9000 kB\nRssAnon:\t    2048 kB\nRssFile:\t    6952 kB\n")


def test_a_process_is_read_whatever_its_name(tmp_path):
    entry(tmp_path, 7)
    assert process(7, tmp_path) == Used(50, 200 / os.sysconf("SC_CLK_TCK"), 2048 * 1024)


def test_a_machine_that_is_a_pod_itself_is_none_of_the_clusters(tmp_path):
    entry(tmp_path, 7, cgroup="4:memory:/kubepods/burstable/pod1/slipway-x/node1/system")
    assert process(7, tmp_path) is not None


def test_pods_and_what_has_ended_are_left_out(tmp_path):
    entry(tmp_path, 8, cgroup="4:memory:/slipway-x/node1/kubepods/burstable/pod1/a")
    assert process(8, tmp_path) is None
    assert process(9, tmp_path) is None


def test_cpu_is_what_was_used_between_two_looks():
    before = {1: Used(5, 10.0, 1), 2: Used(6, 3.0, 1), 3: Used(7, 4.0, 1)}
    # The second has ended and its number was given to another, the third has ended, the fourth has come.
    after = {1: Used(5, 12.5, 1), 2: Used(90, 1.0, 1), 4: Used(91, 0.25, 1)}
    assert between(before, after) == pytest.approx(2.5 + 1.0 + 0.25)


def test_the_real_proc_tells_of_a_real_process():
    busy = "import time; begin = time.process_time()\nwhile time.process_time() - begin < 0.3: pass\nprint(); input()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        found = process(child.pid)
        child.communicate(b"\n")
    assert found.cpu >= 0.3
    assert found.memory > 2**20
    assert process(child.pid) is None
