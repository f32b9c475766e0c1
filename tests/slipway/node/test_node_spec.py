import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.node.spec import MAX_NODES, ClusterSpec, NodeTimeouts

names = st.from_regex(r"\A[a-z]([a-z0-9-]{0,18}[a-z0-9])?\Z")
networks = st.integers(0, 255).map(lambda n: f"10.123.{n}.0/24")
IFNAMSIZ = 15


@given(names, st.integers(1, MAX_NODES), networks)
def test_names_and_addresses_follow_from_the_settings_and_fit(name, nodes, network):
    spec = ClusterSpec(name=name, nodes=nodes, network=network)
    machines = [spec.control_plane, *spec.workers]
    assert len({machine.address for machine in machines} | {spec.gateway}) == nodes + 2
    assert all(ipaddress.ip_address(machine.address) in ipaddress.ip_network(network) for machine in machines)
    assert all(len(link) <= IFNAMSIZ for link in [spec.bridge, *(machine.link for machine in machines)])
    assert len({node.pod_subnet for node in spec.workers}) == nodes
    assert all(
        ipaddress.ip_network(node.pod_subnet).subnet_of(ipaddress.ip_network(spec.pod_network)) for node in spec.workers
    )


@given(names, st.integers(1, MAX_NODES), networks)
def test_a_spec_survives_json_whose_numbers_are_floats(name, nodes, network):
    spec = ClusterSpec(name=name, nodes=nodes, network=network)
    data = spec.to_dict()
    data["nodes"] = float(data["nodes"])
    data["timeouts"] = {key: float(value) for key, value in data["timeouts"].items()}
    assert ClusterSpec.from_dict(data) == spec


@given(names, names)
def test_two_clusters_share_nothing_but_the_machine(one, other):
    if one == other:
        return
    a, b = ClusterSpec(name=one), ClusterSpec(name=other, network="10.124.0.0/24")
    assert a.bridge != b.bridge
    assert a.home != b.home
    assert not {m.netns for m in (a.control_plane, *a.workers)} & {m.netns for m in (b.control_plane, *b.workers)}
    assert not {m.address for m in (a.control_plane, *a.workers)} & {m.address for m in (b.control_plane, *b.workers)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "Slipway"}, ["'Slipway'", "a-z"]),
        ({"name": "a" * 21}, ["1 to 20"]),
        ({"name": "a-"}, ["not ending in '-'"]),
        ({"nodes": 0}, ["0", "1 to 3"]),
        ({"nodes": 4}, ["4", "1 to 3"]),
        ({"network": "10.1.0.0/16"}, ["network", "/24"]),
        ({"network": "8.8.8.0/24"}, ["network", "private"]),
        ({"network": "ten"}, ["network", "'ten'"]),
        ({"network": "10.244.7.0/24"}, ["overlaps", "pod_network"]),
        ({"service_network": "10.244.0.0/16"}, ["overlaps"]),
    ],
)
def test_a_wrong_setting_names_itself_and_what_is_allowed(settings, words):
    with pytest.raises(ValueError, match=r".+") as caught:
        ClusterSpec(**settings)
    assert all(word in str(caught.value) for word in words)


def test_a_lease_as_long_as_the_grace_period_is_refused():
    with pytest.raises(ValueError, match="declared lost between two renewals"):
        NodeTimeouts(lease_duration=10)
    with pytest.raises(ValueError, match="at least 1 s"):
        NodeTimeouts(monitor_period=0)


def test_an_unknown_node_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match="node1, node2, node3"):
        ClusterSpec().node("node9")
