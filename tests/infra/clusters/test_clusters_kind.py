"""The target `kind`, through executables that behave as kind and docker do, and note what they are asked."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from infra.clusters import kind, targets
from infra.clusters.kind import KindError, KindSpec
from infra.settings import ClusterSettings, KindSettings, Target

# A cluster is a file; `create` that is told to fail leaves its containers behind, as kind does when it is killed.
KIND = r"""#!/bin/sh
echo "kind $*" >> "$STAGE/calls"
name() { while [ $# -gt 0 ]; do [ "$1" = --name ] && echo "$2"; shift; done; }
case "$1 $2" in
  "get clusters") ls "$STAGE/clusters" ;;
  "create cluster")
    cat > "$STAGE/config"
    touch "$STAGE/clusters/$(name "$@")"
    if [ -e "$STAGE/fails" ]; then echo "ERROR: failed to create cluster: port is taken" >&2; exit 1; fi ;;
  "get kubeconfig")
    [ -e "$STAGE/clusters/$(name "$@")" ] || { echo "ERROR: could not locate any control plane nodes" >&2; exit 1; }
    echo "kubeconfig of $(name "$@")" ;;
  "delete cluster") rm -f "$STAGE/clusters/$(name "$@")" ;;
  *) echo "unknown $*" >&2; exit 2 ;;
esac
"""
DOCKER = r"""#!/bin/sh
echo "docker $*" >> "$STAGE/calls"
cat "$STAGE/network"
"""
NETWORK = [{"Subnet": "fc00:f853:ccd:e793::/64"}, {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
SPEC = KindSpec("ours")
ADDRESSES = "172.18.255.200-172.18.255.250"


class Stage:
    """What the executables see and noted."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def calls(self):
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [re.sub(r"/\S+/kubeconfig", "FILE", line) for line in lines]

    @property
    def clusters(self):
        return sorted(it.name for it in (self.folder / "clusters").iterdir())

    def config(self):
        return yaml.safe_load((self.folder / "config").read_text())

    def set(self, name, text=""):
        (self.folder / name).write_text(text)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    folder = tmp_path / "stage"
    (folder / "clusters").mkdir(parents=True)
    for name, text in (("kind", KIND), ("docker", DOCKER)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("STAGE", str(folder))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in (kind.PROGRAM, "KIND_EXPERIMENTAL_DOCKER_NETWORK"):
        monkeypatch.delenv(name, raising=False)
    found = Stage(folder)
    found.set("network", json.dumps(NETWORK))
    return found


def provider():
    return kind._Provider()


def props(spec=SPEC):
    return {"spec": kind.asdict(spec)}


def test_creating_makes_the_cluster_and_hands_over_how_to_reach_it(stage):
    made = provider().create(props())
    assert made.id == "ours"
    assert made.outs["kubeconfig"] == "kubeconfig of ours\n"
    assert (made.outs["context"], made.outs["identifier"]) == ("kind-ours", "kind/ours")
    assert made.outs["address_range"] == ADDRESSES
    assert stage.calls == [
        "kind get clusters --quiet",
        "kind create cluster --name ours --config - --wait 5m --kubeconfig FILE",
        "kind get kubeconfig --name ours",
        "docker network inspect kind --format {{json .IPAM.Config}}",
    ]


def test_nodes_are_as_asked_for_by_digest(stage):
    provider().create(props(KindSpec("ours", workers=1, registry_auth="/home/me/.docker/config.json")))
    nodes = stage.config()["nodes"]
    assert [it["role"] for it in nodes] == ["control-plane", "worker"]
    assert {it["image"] for it in nodes} == {kind.NODE_IMAGE}
    assert re.search(r"@sha256:[0-9a-f]{64}$", kind.NODE_IMAGE)
    assert all(it["extraMounts"][0]["hostPath"] == "/home/me/.docker/config.json" for it in nodes)


def test_a_cluster_that_fails_half_way_is_removed_and_the_reason_told(stage):
    stage.set("fails")
    with pytest.raises(KindError, match=r"`kind create cluster .* failed with exit code 1: ERROR: .* port is taken"):
        provider().create(props())
    assert stage.clusters == []
    assert stage.calls[-1] == "kind delete cluster --name ours --kubeconfig FILE"


def test_a_cluster_whose_address_cannot_be_told_is_removed_too(stage):
    stage.set("network", '[{"Subnet": "fc00::/64"}]')
    with pytest.raises(KindError, match=r"slipway-cluster:kind\.addressRange"):
        provider().create(props())
    assert stage.clusters == []
    assert provider().create(props(KindSpec("ours", address_range="10.0.0.1-10.0.0.9"))).outs["address_range"] == (
        "10.0.0.1-10.0.0.9"
    )


def test_a_cluster_of_somebody_else_is_neither_taken_nor_removed(stage):
    stage.set("clusters/ours")
    with pytest.raises(KindError, match="kind delete cluster --name ours"):
        provider().create(props())
    assert stage.clusters == ["ours"]
    assert stage.calls == ["kind get clusters --quiet"]


def test_deleting_removes_it_and_no_other_and_may_be_repeated(stage):
    provider().create(props())
    stage.set("clusters/theirs")
    provider().delete("ours", props())
    provider().delete("ours", props())
    assert stage.clusters == ["theirs"]


@pytest.mark.usefixtures("stage")
def test_nothing_has_changed_by_itself():
    provider().create(props())
    assert not provider().diff("ours", props(), props()).changes


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({"workers": 1}, True),
        ({"image": "other@sha256:" + "0" * 64}, True),
        ({"address_range": "10.0.0.1-10.0.0.9"}, False),
    ],
)
@pytest.mark.usefixtures("stage")
def test_what_kind_cannot_change_is_made_anew_the_old_one_first(change, replaced):
    provider().create(props())
    found = provider().diff("ours", props(), props(KindSpec("ours", **change)))
    assert found.changes
    assert found.replaces == (["spec"] if replaced else [])
    assert found.delete_before_replace


def test_other_addresses_are_handed_over_without_a_new_cluster(stage):
    provider().create(props())
    made = provider().update("ours", props(), props(KindSpec("ours", address_range="10.0.0.1-10.0.0.9")))
    assert made.outs["address_range"] == "10.0.0.1-10.0.0.9"
    assert sum("create cluster" in call for call in stage.calls) == 1


def test_a_cluster_that_is_gone_is_a_difference_and_is_not_read(stage):
    provider().create(props())
    assert provider().read("ours", {}).id == "ours"
    (stage.folder / "clusters" / "ours").unlink()
    assert provider().read("ours", {}).id is None
    assert provider().diff("ours", props(), props()).replaces == ["spec"]


def test_without_kind_it_is_told_what_to_install(stage, monkeypatch):
    monkeypatch.setenv(kind.PROGRAM, "/nowhere/kind")
    with pytest.raises(KindError, match=r"install kind 0\.30 and docker"):
        provider().create(props())
    assert stage.calls == []


@given(st.ip_addresses(v=4).map(lambda it: f"{it}/"), st.integers(8, 24))
def test_addresses_are_fifty_one_at_the_end_of_the_network_and_inside(base, prefix):
    network = kind.ipaddress.ip_network(f"{base}{prefix}", strict=False)
    first, last = (kind.ipaddress.ip_address(it) for it in kind.free_addresses([{"Subnet": str(network)}]).split("-"))
    assert first in network
    assert last in network
    assert int(last) - int(first) == 50
    assert int(network.broadcast_address) - int(last) == 5


@pytest.mark.parametrize("networks", [[], [{}], [{"Subnet": "10.0.0.0/30"}], [{"Subnet": "fd00::/64"}]])
def test_a_network_that_is_too_small_is_told(networks):
    with pytest.raises(KindError, match="no IPv4 subnet"):
        kind.free_addresses(networks)


def test_the_program_makes_one_cluster_and_keeps_its_kubeconfig_secret(deploy):
    chosen = ClusterSettings(target=Target.KIND, kind=KindSettings(workers=1))
    run = deploy(lambda: targets.make("ours", chosen).to_outputs())
    assert run.counts() == {"pulumi-python:dynamic/slipway:KindCluster": 1}
    made = run.one("pulumi-python:dynamic/slipway:KindCluster")
    assert made.inputs["spec"] == kind.asdict(KindSpec("ours", workers=1))
    assert "kubeconfig" in made.additional_secret_outputs


def test_settings_of_another_target_are_refused():
    with pytest.raises(ValueError, match="kind must be left out for the target embedded"):
        ClusterSettings(kind=KindSettings())


def test_the_hosted_workflow_gives_the_addresses_that_we_would_find():
    text = (Path(__file__).parents[3] / ".github" / "workflows" / "kind.yml").read_text()
    first, _, last = ADDRESSES.partition("-")
    assert f'"addressRange": "{first}-{last}"' in text


def test_the_help_of_up_offers_it():
    from slipway.cli.up import command  # noqa: PLC0415  # it loads every part

    assert "kind" in CliRunner().invoke(command, ["--help"]).output
