"""Names are the same wherever they are used, and never longer than Kubernetes allows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import naming
from infra.naming import Environment

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
labels = st.from_regex(LABEL, fullmatch=True)
clusters = labels.filter(lambda it: len(it) <= naming.CLUSTER_NAME_LIMIT)


@given(base=labels.filter(lambda it: len(it) < 100), parts=st.lists(labels, max_size=3))
def test_a_joined_name_is_a_dns_label_of_at_most_63_characters(base, parts):
    name = naming.object_name(base, *parts)
    assert len(name) <= 63
    assert LABEL.fullmatch(name)


def test_long_names_that_begin_alike_stay_apart():
    one, two = naming.object_name("a" * 70, "x"), naming.object_name("a" * 70, "y")
    assert one != two
    assert len(one) == len(two) == 63


def test_a_name_that_fits_is_left_alone():
    assert naming.object_name("payload", "dev") == "payload-dev"


@given(cluster=clusters, environment=st.sampled_from(Environment))
def test_a_service_stack_names_its_cluster_and_environment(cluster, environment):
    assert naming.parse_service_stack(naming.service_stack(cluster, environment)) == (cluster, environment)


@given(cluster=clusters)
def test_two_clusters_never_share_a_stack(cluster):
    stacks = [naming.service_stack(cluster, it) for it in Environment]
    assert len(set(stacks)) == len(Environment)
    assert all(len(it) <= 63 for it in stacks)


@pytest.mark.parametrize("stack", ["slipway", "slipway-test", "dev", "-dev", ""])
def test_a_service_stack_that_names_no_environment_is_refused_with_an_example(stack):
    with pytest.raises(
        ValueError, match=r"must be named <cluster>-<environment>.*dev, staging, production.*slipway-dev"
    ):
        naming.parse_service_stack(stack)


@pytest.mark.parametrize("name", ["", "Slipway", "a_b", "-a", "a-", "a" * 21, "a.b"])
def test_a_cluster_name_that_cannot_be_used_is_named_with_what_is_allowed(name):
    with pytest.raises(ValueError, match=re.escape(repr(name)) + ".*1 to 20 lower-case letters"):
        naming.cluster_name(name)


def test_hosts_are_those_of_the_contract():
    assert naming.live_host(Environment.DEV) == "payload.dev.slipway.test"
    assert naming.preview_host(Environment.DEV) == "preview.payload.dev.slipway.test"
    assert len(naming.service_hosts()) == 2 * len(Environment)


def test_addresses_inside_the_cluster_are_full_names():
    assert naming.POSTGRES_PRIMARY_HOST == "postgres-rw.data.svc.cluster.local"
    assert naming.POSTGRES_REPLICA_HOST == "postgres-ro.data.svc.cluster.local"
    assert naming.REDIS_CACHE_HOST == "redis-cache.data.svc.cluster.local"
    assert naming.redis_member(2) == "redis-2"


def test_a_database_has_one_name_for_each_environment():
    assert {naming.database(it) for it in Environment} == {"payload_dev", "payload_staging", "payload_production"}
