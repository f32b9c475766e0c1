import pytest

from slipway.node import cgroups
from slipway.node.errors import NodeError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Both layouts in a folder; `add` makes a group with a file of figures."""
    names = ("unified", "cpu", "cpuacct", "cpuset", "memory")
    unified, cpu, cpuacct, cpuset, memory = (tmp_path / name for name in names)
    monkeypatch.setattr(cgroups, "version2_root", lambda: unified)
    monkeypatch.setattr(cgroups, "version1_roots", lambda: (memory, cpu, cpuacct, cpuset))

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


@pytest.mark.usefixtures("tree")
def test_a_program_is_moved_where_it_is_tracked_and_where_processors_are_shared_out(tmp_path):
    files = cgroups.procs_files("slipway-a/node1/system")
    assert files == [tmp_path / root / "slipway-a/node1/system/cgroup.procs" for root in ("unified", "cpu")]


def test_processors_shared_out_together_with_their_account_are_found_too(tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "version2_root", lambda: tmp_path / "unified")
    monkeypatch.setattr(cgroups, "version1_roots", lambda: (tmp_path / "cpuset", tmp_path / "cpu,cpuacct"))
    assert [it.parents[1].name for it in cgroups.procs_files("slipway-a")] == ["unified", "cpu,cpuacct"]


@pytest.mark.parametrize(("root", "name", "weight"), [("cpu", "cpu.shares", "2048"), ("unified", "cpu.weight", "200")])
def test_a_cluster_weighs_as_much_as_a_program_on_each_core(tree, tmp_path, root, name, weight):
    tree(root, "slipway-a", name, "1\n")
    cgroups.weigh("slipway-a", 2)
    assert (tmp_path / root / "slipway-a" / name).read_text() == weight
