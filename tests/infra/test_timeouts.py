"""The timeout table: defaults are those of the design, and what contradicts itself is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.timeouts import INGRESS_UPDATES_PER_SECOND, NodeTimeouts, PostgresTimeouts, TrafficTimeouts
from slipway.node import NodeTimeouts as EmbeddedTimeouts

seconds = st.integers(1, 3600)


def test_the_defaults_are_those_of_the_design():
    node, traffic = NodeTimeouts(), TrafficTimeouts()
    assert (node.monitor_period, node.monitor_grace_period, node.node_lease, node.eviction) == (2, 10, 8, 10)
    assert (traffic.node_loss, traffic.dns, traffic.connect, traffic.server, traffic.ingress_drain) == (
        10,
        1,
        1,
        10,
        12,
    )
    assert INGRESS_UPDATES_PER_SECOND >= 5


def test_the_defaults_are_those_of_the_embedded_cluster():
    node, embedded = NodeTimeouts(), EmbeddedTimeouts()
    assert node.monitor_grace_period == embedded.monitor_grace_period
    assert node.monitor_period == embedded.monitor_period
    assert node.node_lease == embedded.lease_duration
    assert node.eviction == embedded.eviction_toleration


@given(grace=seconds, lease=seconds, period=seconds)
def test_a_node_never_counts_as_lost_between_two_renewals(grace, lease, period):
    possible = grace > lease and period <= grace
    try:
        NodeTimeouts(monitor_grace_period=grace, node_lease=lease, monitor_period=period)
    except ValidationError:
        assert not possible
    else:
        assert possible


@given(connect=seconds, server=seconds, finish=seconds)
def test_a_stopping_proxy_never_cuts_off_what_is_allowed_to_run(connect, server, finish):
    possible = connect <= server <= finish
    try:
        TrafficTimeouts(connect=connect, server=server, ingress_finish=finish)
    except ValidationError:
        assert not possible
    else:
        assert possible


@given(lease=seconds, renewal=seconds, retry=seconds, smart=seconds, stop=seconds)
def test_the_primary_renews_its_lease_before_it_ends(lease, renewal, retry, smart, stop):
    possible = lease > renewal > retry and stop > smart
    try:
        PostgresTimeouts(lease=lease, lease_renewal=renewal, lease_retry=retry, smart_shutdown=smart, stop=stop)
    except ValidationError:
        assert not possible
    else:
        assert possible


@pytest.mark.parametrize("value", [0, -1, 3601])
def test_a_wait_has_bounds(value):
    with pytest.raises(ValidationError, match="dns"):
        TrafficTimeouts(dns=value)
