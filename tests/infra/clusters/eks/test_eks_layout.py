"""The arithmetic of subnets, for every network that a stack may choose."""

import ipaddress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clusters.eks.layout import share_out

NAMES = ("r-1a", "r-1b", "r-1c")
#: Addresses that AWS keeps in each subnet, and the least that its load balancers need.
KEPT, NEEDED = 5, 8


@st.composite
def networks(draw):
    prefix = draw(st.integers(16, 20))
    base = draw(st.integers(int(ipaddress.ip_address("10.0.0.0")), int(ipaddress.ip_address("10.255.255.255"))))
    return str(ipaddress.ip_network((base, prefix), strict=False))


@given(networks())
def test_subnets_are_inside_the_network_and_apart(network):
    zones = share_out(network, NAMES)
    subnets = [ipaddress.ip_network(it) for zone in zones for it in (zone.public, zone.private)]
    assert len(subnets) == 6
    assert all(it.subnet_of(ipaddress.ip_network(network)) for it in subnets)
    assert not [pair for pair in combinations(subnets, 2) if pair[0].overlaps(pair[1])]


@given(networks())
def test_each_zone_gets_the_same_and_nearly_all_of_it_is_for_pods(network):
    zones = share_out(network, NAMES)
    whole = ipaddress.ip_network(network).num_addresses
    assert [zone.name for zone in zones] == list(NAMES)
    assert {ipaddress.ip_network(zone.private).num_addresses for zone in zones} == {whole // 4}
    assert {ipaddress.ip_network(zone.public).num_addresses for zone in zones} == {whole // 16}


@given(networks())
def test_every_subnet_is_one_that_aws_takes_and_has_room_for_a_load_balancer(network):
    for zone in share_out(network, NAMES):
        for it in (zone.public, zone.private):
            subnet = ipaddress.ip_network(it)
            assert 16 <= subnet.prefixlen <= 28
            assert subnet.num_addresses - KEPT >= NEEDED


@given(networks())
def test_a_sixteenth_is_left_for_later(network):
    taken = [ipaddress.ip_network(it) for zone in share_out(network, NAMES) for it in (zone.public, zone.private)]
    last = list(ipaddress.ip_network(network).subnets(4))[-1]
    assert not [it for it in taken if it.overlaps(last)]


def test_it_can_be_read_off():
    first, _, third = share_out("10.40.0.0/16", NAMES)
    assert (first.private, first.public) == ("10.40.0.0/18", "10.40.192.0/20")
    assert (third.private, third.public) == ("10.40.128.0/18", "10.40.224.0/20")


@pytest.mark.parametrize("names", [(), ("a", "b"), ("a", "b", "c", "d")])
def test_other_than_three_zones_are_refused(names):
    with pytest.raises(ValueError, match="there must be 3"):
        share_out("10.40.0.0/16", names)
