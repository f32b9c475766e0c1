import pytest

from slipway.node import cgroups
from slipway.node.errors import NodeError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Both layouts in a folder; `add` makes a group with a file of figures."""
    unified, cpuacct, memory = (tmp_path / name for name in ("unified", "cpuacct", "memory"))
    monkeypatch.setattr(cgroups, "version2_root", lambda: unified)
    monkeypatch.setattr(cgroups, "version1_roots", lambda: (memory, cpuacct))

    def add(root, group, name, text):
        folder = tmp_path / root / group
        folder.mkdir(parents=True)
        (folder / name).write_text(text)

    return add


def test_cpu_time_of_a_pod_is_found_below_its_node_on_version_1(tree):
    tree("cpuacct", "slipway-a/node1/kubepods/burstable/podabc", "cpuacct.usage", "2500000000\n")
    tree("cpuacct", "slipway-a/node2/kubepods/podother", "cpuacct.usage", "9000000000\n")
    tree("unified", "slipway-a/node1/kubepods/burstable/podabc", "cgroup.procs", "")
    assert cgroups.cpu_seconds("slipway-a/node1", "podabc") == pytest.approx(2.5)


def test_and_on_version_2(tree):
    tree("unified", "slipway-a/node1/kubepods/podabc", "cpu.stat", "usage_usec 1500000\nnr_periods 3\n")
    assert cgroups.cpu_seconds("slipway-a/node1", "podabc") == pytest.approx(1.5)


def test_a_pod_that_is_gone_is_said_to_be(tree):
    tree("unified", "slipway-a/node1/kubepods/podabc", "cpu.stat", "nr_periods 3\n")
    with pytest.raises(NodeError, match="no control group 'podabc' below 'slipway-a/node1' counts CPU time"):
        cgroups.cpu_seconds("slipway-a/node1", "podabc")
