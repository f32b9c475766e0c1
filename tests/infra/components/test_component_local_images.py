"""Images: pushed where the cluster has a registry, named upstream where not, pushed again only if they changed."""

from pathlib import Path

import pytest
from infra_stand_ins import BALANCED, CLOUD

from infra.components import local_images
from infra.components.local_images import ImageProvider, Images, ImagesConfig
from infra.images import ImageSource

ONE, OTHER = ("sha256:" + digit * 64 for digit in "12")
PROPS = {
    "name": "redis",
    "registry": "registry.test:5000",
    "registry_push": "10.0.0.1:5000",
    "certificates": "/certificates",
}


class Stock:
    """A toolchain that has one image and remembers what was pushed where."""

    def __init__(self, digest=ONE):
        self.digest = digest
        self.pushed = []

    def binary(self, name):
        raise AssertionError(name)

    def image_digest(self, name):
        assert name == "redis"
        return self.digest

    def push(self, name, registry, certificates):
        self.pushed.append((name, registry, certificates))
        return self.digest


@pytest.fixture
def stock(monkeypatch):
    stock = Stock()
    monkeypatch.setattr(local_images, "supplies", lambda: stock)
    return stock


def test_an_image_is_pushed_and_referred_to_by_digest(stock):
    made = ImageProvider().create(PROPS)
    assert stock.pushed == [("redis", "10.0.0.1:5000", Path("/certificates"))]
    assert made.id == "10.0.0.1:5000/redis"
    assert made.outs == {**PROPS, "digest": ONE, "reference": f"registry.test:5000/slipway/redis@{ONE}"}


def test_an_unchanged_image_is_left_alone(stock):
    olds = ImageProvider().create(PROPS).outs
    assert ImageProvider().diff("id", olds, PROPS).changes is False
    assert len(stock.pushed) == 1


def test_a_changed_image_is_pushed_again(stock):
    olds = ImageProvider().create(PROPS).outs
    stock.digest = OTHER
    diff = ImageProvider().diff("id", olds, PROPS)
    assert (diff.changes, diff.replaces) == (True, [])
    assert ImageProvider().update("id", olds, PROPS).outs["reference"] == f"registry.test:5000/slipway/redis@{OTHER}"
    assert len(stock.pushed) == 2


@pytest.mark.usefixtures("stock")
def test_another_registry_gets_a_copy_of_its_own():
    olds = ImageProvider().create(PROPS).outs
    diff = ImageProvider().diff("id", olds, {**PROPS, "registry_push": "10.0.0.2:5000"})
    assert (diff.changes, diff.replaces) == (True, ["registry_push"])


def test_an_image_is_a_resource_of_its_own(deploy):
    run = deploy(lambda: Images("images", ImagesConfig(["redis", "postgres"], ImageSource.AUTO, BALANCED)))
    assert run.counts() == {"pulumi-python:dynamic/slipway:LocalImage": 2}
    made = run.one("pulumi-python:dynamic/slipway:LocalImage", "image-redis")
    assert {key: made.inputs[key] for key in PROPS} == PROPS


def test_upstream_images_are_only_named(deploy):
    seen = []

    def program():
        references = Images("images", ImagesConfig(["redis"], ImageSource.AUTO, CLOUD, "mirror.test")).references
        references["redis"].apply(seen.append)

    assert deploy(program).counts() == {}
    assert seen == ["mirror.test/docker.io/library/redis:8.0.3"]


def test_a_cluster_with_a_registry_can_still_use_upstream(deploy):
    assert deploy(lambda: Images("i", ImagesConfig(["redis"], ImageSource.UPSTREAM, BALANCED))).counts() == {}


def test_local_images_need_a_registry(deploy):
    with pytest.raises(ValueError, match=r"imageSource is 'local', but the cluster has no registry.*'upstream'"):
        deploy(lambda: Images("images", ImagesConfig(["redis"], ImageSource.LOCAL, CLOUD)))


def test_an_image_that_is_not_in_the_catalogue_is_refused(deploy):
    with pytest.raises(KeyError, match="'nginx' is not in the catalogue"):
        deploy(lambda: Images("images", ImagesConfig(["nginx"], ImageSource.AUTO, BALANCED)))
