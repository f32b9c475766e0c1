import datetime as dt
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.node import config, pki, supervise
from slipway.node.programs import programs
from slipway.node.spec import REGISTRY_HOST, ClusterSpec

PKI = Path("/pki")


@given(st.integers(1, 128), st.integers(2**30, 2**40), st.integers(1, 3))
def test_the_nodes_allocatable_never_sums_to_more_than_the_machine(cpus, memory, nodes):
    reserved = config.reserve(cpus=cpus, memory_bytes=memory, nodes=nodes)
    allocatable_millis = (cpus * 1000 - reserved.cpu_millis) * nodes
    allocatable_bytes = (memory - reserved.memory_bytes) * nodes
    assert cpus * 1000 - nodes < allocatable_millis <= cpus * 1000
    assert memory - nodes < allocatable_bytes <= memory


def test_each_node_keeps_to_its_own_group_folders_and_addresses():
    spec = ClusterSpec()
    seen = set[str]()
    for node in spec.workers:
        kubelet = yaml.safe_load(config.kubelet(spec, node, PKI, config.Reserve(0, 0)))
        cni = json.loads(config.cni(node))["plugins"][0]
        mine = {kubelet["cgroupRoot"], kubelet["address"], str(cni["ipam"]["ranges"])}
        assert not mine & seen
        seen |= mine
        assert kubelet["failCgroupV1"] is False
        assert kubelet["cgroupDriver"] == "cgroupfs"
        assert cni["ipMasq"] is False


def test_containerd_pulls_by_the_made_up_name_only_from_our_registry():
    spec = ClusterSpec()
    node = spec.workers[0]
    cri = tomllib.loads(config.containerd(node, "pause@sha256:1", Path("/cni")))["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is True
    assert cri["registry"]["config_path"].startswith(str(node.home))
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False
    hosts = tomllib.loads(config.registry_hosts(spec, PKI))
    server, hosts = hosts["server"], hosts["host"]
    assert list(hosts) == [server] == [f"https://{spec.registry_address}"]
    assert hosts[server]["client"]
    assert REGISTRY_HOST.split(":")[0].endswith(".test")


def test_a_registry_that_has_no_image_is_asked_with_certificates_by_each_name_that_it_has():
    spec = ClusterSpec()
    told = tomllib.loads(config.registry_hosts(spec, PKI))
    [host] = told["host"].values()
    assert {key: told[key] for key in host} == host
    assert host.keys() == {"capabilities", "ca", "client"}


def test_the_registry_asks_for_a_client_certificate():
    registry = yaml.safe_load(config.registry(ClusterSpec(), PKI, Path("/storage")))
    assert registry["http"]["tls"]["clientcas"] == ["/pki/ca.crt"]


def test_secrets_are_encrypted_at_rest():
    found = yaml.safe_load(config.encryption(b"k" * 32))
    assert found["resources"][0]["resources"] == ["secrets"]
    assert "secretbox" in found["resources"][0]["providers"][0]


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_every_program_is_supervised_in_its_machine_and_started_again(nodes):
    spec = ClusterSpec(nodes=nodes)
    listed = programs(spec, Path)
    assert len({it.name for it in listed}) == len(listed) == 5 + 3 * nodes
    text = supervise.render(spec, listed)
    for it in listed:
        assert f"[program:{it.name}]" in text
    assert text.count("autorestart=true") == len(listed)
    assert [line for line in text.splitlines() if line.startswith("[group:")] == [
        "[group:control-plane]",
        *(f"[group:node{i + 1}]" for i in range(nodes)),
    ]


def test_the_control_plane_shares_no_namespace_with_a_node():
    spec = ClusterSpec()
    by_machine = {}
    for it in programs(spec, Path):
        by_machine.setdefault(it.machine, set()).add((it.netns, it.cgroup))
    assert all(len(places) == 1 for places in by_machine.values())
    assert len({place for places in by_machine.values() for place in places}) == 1 + spec.nodes


def test_nothing_is_open_that_should_be_closed():
    arguments = {it.name: it.arguments for it in programs(ClusterSpec(), Path)}
    assert "--anonymous-auth=false" in arguments["kube-apiserver"]
    assert "--client-cert-auth" in arguments["etcd"]
    assert not any("http://" in word for words in arguments.values() for word in words)
    assert not any("no-fsync" in word for word in arguments["etcd"])


def test_the_timeouts_of_the_spec_reach_the_parts_that_keep_them():
    spec = ClusterSpec()
    arguments = {it.name: it.arguments for it in programs(spec, Path)}
    assert "--node-monitor-grace-period=10s" in arguments["kube-controller-manager"]
    assert "--node-monitor-period=2s" in arguments["kube-controller-manager"]
    assert "--default-unreachable-toleration-seconds=10" in arguments["kube-apiserver"]
    kubelet = yaml.safe_load(config.kubelet(spec, spec.workers[0], PKI, config.Reserve(0, 0)))
    assert kubelet["nodeLeaseDurationSeconds"] == 8


def test_a_launcher_quotes_and_becomes_the_program(monkeypatch):
    trees = (Path("/cg"), Path("/cg cpu"))
    monkeypatch.setattr(supervise.cgroups, "procs_files", lambda group: [it / group / "cgroup.procs" for it in trees])
    spec = ClusterSpec()
    for it in programs(spec, lambda name: Path(f"/with space/{name}")):
        script = supervise.render_launcher(it)
        assert f"'/with space/{Path(it.arguments[0]).name}'" in script
        assert "exec nsenter" in script
        assert f"echo 0 > /cg/{it.cgroup}/cgroup.procs\necho 0 > '/cg cpu/{it.cgroup}/cgroup.procs'\n" in script


def digests(spec):
    """Program -> how supervisord is told of its launcher and of what it reads."""
    text = supervise.render(spec, programs(spec, Path))
    return dict(re.findall(r"^\[program:(.+)\]\n(?:.*\n)*?environment=(.+)$", text, re.MULTILINE))


def test_a_new_certificate_starts_anew_whoever_reads_it_and_nobody_else(monkeypatch, tmp_path):
    monkeypatch.setattr("slipway.node.spec.STATE_ROOT", tmp_path)
    spec = ClusterSpec(nodes=2)
    secrets, now = spec.home / "pki", dt.datetime.now(dt.UTC)
    for folder in (secrets, spec.home / "control-plane", *(node.home / "etc" for node in spec.workers)):
        folder.mkdir(parents=True)
    for name in config.AUTHORITIES:
        pki.ensure_ca(secrets, name, name)

    def write(at):
        made = {leaf.file for leaf in config.leaves(spec) if pki.ensure_leaf(secrets, leaf, at)}
        for name in ("controller-manager", "scheduler"):
            (spec.home / "control-plane" / f"{name}.kubeconfig").write_text(config.kubeconfig(spec, secrets, name))
        for node in spec.workers:
            for name, leaf in (("kubelet", f"kubelet-{node.name}"), ("proxy", "proxy")):
                (node.home / "etc" / f"{name}.kubeconfig").write_text(config.kubeconfig(spec, secrets, leaf))
        return made

    everyone = {leaf.file for leaf in config.leaves(spec)}
    assert write(now) == everyone
    before = digests(spec)
    assert set(before) == {it.name for it in programs(spec, Path)}
    assert write(now + dt.timedelta(days=300)) == set()
    assert digests(spec) == before

    (secrets / "kubelet-node2.crt").unlink()
    assert write(now) == {"kubelet-node2"}
    second = digests(spec)
    assert {name for name in before if second[name] != before[name]} == {"kubelet-node2"}

    # A year later all are near their end. Containerd alone goes on: it reads the registry's certificate at each pull.
    assert write(now + dt.timedelta(days=370)) == everyone
    third = digests(spec)
    assert {name for name in second if third[name] == second[name]} == {"containerd-node1", "containerd-node2"}
