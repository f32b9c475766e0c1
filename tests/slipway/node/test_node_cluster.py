"""What a cluster is made of, as one digest: any change of it is seen before anything is made."""

from pathlib import Path

import pytest

from slipway.node import cluster, config
from slipway.node.spec import ClusterSpec

SPEC = ClusterSpec(name="it")


class Supplies:
    """Stands for the toolchain."""

    def binary(self, name):
        return Path("/programs") / name

    def image_digest(self, name):
        return f"sha256:{name.encode().hex():0<64.64}"


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    monkeypatch.setattr(cluster, "_find_binary", lambda name, _supplies: Path("/programs") / name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("NEIGHBOURS", {"retrans_time_ms": "500"}), ("POD_BRIDGE", "other0"), ("CLUSTER_DOMAIN", "other.test")],
)
def test_another_setting_of_nodes_is_another_cluster(monkeypatch, name, value):
    before = cluster.fingerprint(SPEC, Supplies())
    assert cluster.fingerprint(SPEC, Supplies()) == before
    monkeypatch.setattr(config, name, value)
    assert cluster.fingerprint(SPEC, Supplies()) != before
