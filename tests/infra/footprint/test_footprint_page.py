"""The footprint of the programs as they stand, and the page that tells it."""

import functools
import itertools

import pytest

from infra.footprint import Total, footprint
from infra.footprint.report import NODES, PAGE, render
from infra.parts import Store
from infra.profiles import PROFILES, ProfileName
from infra.settings import PlatformSettings, ServiceSettings


@pytest.fixture(scope="module")
def counted(release):
    """Counted once for each choice: every run makes all objects anew."""

    @functools.cache
    def count(settings, *, own_cluster=True):
        return footprint(settings, ServiceSettings(), release, nodes=NODES, own_cluster=own_cluster)

    return count


def test_the_page_is_up_to_date(release):
    assert PAGE.read_text() == render(release), (
        "docs/reference/footprint.md is not what the programs make: run `python -m infra.footprint.page`"
    )


def test_every_part_is_counted(counted):
    assert set(counted(PlatformSettings()).parts()) == {
        "ingress",
        "logs",
        "metallb",
        "metrics",
        "postgres",
        "postgres-operator",
        "redis",
        "rollout-controller",
        "service",
    }


def test_the_small_profile_fits_a_small_machine(counted):
    total = counted(PlatformSettings()).total
    assert total.cpu <= 1000
    assert total.memory <= 4 * 2**30


@pytest.mark.parametrize("settings", [PlatformSettings(), PlatformSettings(metrics=Store.OFF)], ids=["on", "off"])
def test_profiles_only_grow_part_by_part(counted, settings):
    found = [counted(settings.model_copy(update={"profile": name})).parts() for name in ProfileName]
    for smaller, bigger in itertools.pairwise(found):
        assert set(smaller) <= set(bigger)
        for part, (pods, total) in smaller.items():
            more_pods, more = bigger[part]
            assert pods <= more_pods, part
            assert (total.cpu <= more.cpu, total.memory <= more.memory, total.disk <= more.disk) == (True,) * 3, part


def test_what_is_off_requests_nothing(counted):
    everything, without = counted(PlatformSettings()), counted(PlatformSettings(metrics=Store.OFF))
    assert set(everything.parts()) - set(without.parts()) == {"metrics"}
    redis, bare = everything.parts()["redis"][1], without.parts()["redis"][1]
    assert bare.cpu < redis.cpu  # its exporters go with who reads them
    assert without.total + everything.parts()["metrics"][1] + redis == everything.total + bare


def test_a_cluster_with_a_load_balancer_needs_no_metallb(counted):
    image = "registry.test/a@sha256:" + "0" * 64
    settings = PlatformSettings(ingress_observer_image=image, rollout_controller_image=image)
    elsewhere = counted(settings, own_cluster=False)
    assert set(counted(settings).parts()) - set(elsewhere.parts()) == {"metallb"}


def test_the_numbers_agree_with_the_profile(counted):
    profile = PROFILES[ProfileName.SMALL]
    found = counted(PlatformSettings()).to_dict()
    assert found["parts"]["service"]["pods"] == profile.service_replicas + profile.worker_replicas
    assert found["parts"]["postgres"] == {
        "pods": 3,
        "cpu": 0.15,
        "memory": 3 * 256 * 2**20,
        "disk": 3 * (2 + 2) * 2**30,
    }
    assert found["total"]["cpu"] == pytest.approx(sum(it["cpu"] for it in found["parts"].values()))
    assert sum((it.total for it in counted(PlatformSettings()).usages), Total()).memory == found["total"]["memory"]
