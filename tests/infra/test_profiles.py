"""Every profile is complete, and no limit is below its request."""

import itertools
from dataclasses import fields

import pytest

from infra.profiles import PROFILES, ProfileName, Size

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "kb": 2**10, "mb": 2**20, "gb": 2**30, "MB": 2**20, "GB": 2**30}
HOURS = {"h": 1, "d": 24}


def cores(quantity: str) -> float:
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def octets(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


sizes = [
    pytest.param(getattr(profile, it.name), id=f"{name}-{it.name}")
    for name, profile in PROFILES.items()
    for it in fields(profile)
    if it.type is Size
]


def test_there_is_a_profile_for_every_name():
    assert set(PROFILES) == set(ProfileName)
    assert len(sizes) >= 7 * len(ProfileName)


@pytest.mark.parametrize("size", sizes)
def test_a_limit_is_at_least_the_request(size):
    assert 0 < cores(size.cpu) <= cores(size.cpu_limit)
    assert 0 < octets(size.memory) <= octets(size.memory_limit)


def magnitude(value: object) -> tuple[float, ...]:
    """A size, a count, a quantity or a length of time as numbers that can be compared."""
    if isinstance(value, Size):
        return (cores(value.cpu), octets(value.memory), cores(value.cpu_limit), octets(value.memory_limit))
    if isinstance(value, int):
        return (value,)
    text = str(value)
    if text[-1] in HOURS:
        return (int(text[:-1]) * HOURS[text[-1]],)
    return (octets(text),)


@pytest.mark.parametrize("field", [it.name for it in fields(PROFILES[ProfileName.SMALL])])
@pytest.mark.parametrize(("smaller", "bigger"), list(itertools.pairwise(ProfileName)))
def test_a_bigger_profile_is_smaller_in_nothing(smaller, bigger, field):
    less, more = (magnitude(getattr(PROFILES[name], field)) for name in (smaller, bigger))
    assert all(one <= other for one, other in zip(less, more, strict=True)), (less, more)


@pytest.mark.parametrize(("smaller", "bigger"), list(itertools.pairwise(ProfileName)))
def test_a_bigger_profile_is_bigger_in_what_serves_users(smaller, bigger):
    for field in ("ingress", "postgres", "redis", "service", "postgres_storage", "postgres_wal_storage"):
        assert magnitude(getattr(PROFILES[smaller], field)) < magnitude(getattr(PROFILES[bigger], field)), field


def test_only_ha_has_two_of_what_watches():
    assert [PROFILES[name].prometheus_replicas for name in ProfileName] == [1, 1, 2]


@pytest.mark.parametrize("name", ProfileName)
def test_the_log_of_postgres_may_grow_to_its_usual_most_twice(name):
    """As much is kept besides; between two checkpoints the log may pass what it is told."""
    profile = PROFILES[name]
    assert octets(profile.postgres_wal_storage) >= 3 * octets(profile.postgres_wal)


@pytest.mark.parametrize("name", ProfileName)
def test_kept_samples_fit_on_their_volume(name):
    """With a fifth to spare: the log of the newest samples is not in the limit."""
    profile = PROFILES[name]
    assert octets(profile.prometheus_retention_size) * 1.2 <= octets(profile.prometheus_storage)


@pytest.mark.parametrize("name", ProfileName)
def test_caches_fit_into_their_memory_limits(name):
    profile = PROFILES[name]
    # Redis copies pages while it rewrites its file: at worst all of them.
    assert 2 * octets(profile.redis_maxmemory) <= octets(profile.redis.memory_limit)
    # The cache writes no file; what it needs beside its data is for connections and fragments.
    assert 1.3 * octets(profile.redis_cache_maxmemory) <= octets(profile.redis_cache.memory_limit)
    # Java needs as much again for files that it reads, and beside its heap.
    assert 2 * profile.elasticsearch_heap * 2**20 <= octets(profile.elasticsearch.memory_limit)
    assert 2 * octets(profile.postgres_shared_buffers) <= octets(profile.postgres.memory_limit)


@pytest.mark.parametrize("name", ProfileName)
def test_what_must_not_go_away_is_there_twice(name):
    profile = PROFILES[name]
    assert min(profile.ingress_replicas, profile.operator_replicas, profile.service_replicas) >= 2


def test_the_small_profile_fits_the_smallest_machine():
    """Two cores and eight gibibytes, of which the cluster itself takes a part."""
    it = PROFILES[ProfileName.SMALL]
    counted = [
        (it.metallb_controller, 1),
        (it.metallb_speaker, 3),
        (it.ingress, it.ingress_replicas),
        (it.operator, it.operator_replicas),
        (it.postgres, 3),
        (it.redis, 3),
        (it.redis_sentinel, 3),
        (it.redis_keeper, 3),
        (it.redis_exporter, 4),
        (it.redis_cache, 1),
        (it.service, 2 * it.service_replicas),
    ]
    assert sum(cores(size.cpu) * count for size, count in counted) <= 1
    assert sum(octets(size.memory) * count for size, count in counted) <= 4 * 2**30
