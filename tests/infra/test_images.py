"""One catalogue: each image once, never `latest`, local ones by digest."""

from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import images, versions
from infra.images import CATALOGUE, PLATFORM_IMAGES, Image
from slipway.toolchain import modules
from slipway.toolchain.images.recipes import RECIPES
from slipway.toolchain.images.service import TARGETS

digests = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda it: f"sha256:{it}")


def test_every_image_can_be_built_here():
    assert set(CATALOGUE) <= {*RECIPES, *TARGETS}


def test_versions_are_those_that_the_toolchain_builds():
    assert modules.METALLB_VERSION.removeprefix("v") == versions.METALLB
    assert modules.HAPROXY_INGRESS_VERSION.removeprefix("v") == versions.HAPROXY_INGRESS
    assert modules.CLOUDNATIVE_PG_VERSION.removeprefix("v") == versions.CLOUDNATIVE_PG
    assert modules.COREDNS_VERSION.removeprefix("v") == versions.COREDNS
    assert modules.LOCAL_PATH_VERSION.removeprefix("v") == versions.LOCAL_PATH_PROVISIONER
    assert modules.PAUSE_VERSION == versions.PAUSE
    assert metadata.version("k6") == versions.K6


@pytest.mark.parametrize("image", [it for it in CATALOGUE.values() if it.upstream], ids=lambda it: it.name)
def test_an_upstream_reference_has_a_fixed_tag(image):
    reference = image.upstream_reference()
    tag = reference.removeprefix(images.repository(reference))
    assert tag.startswith(":")
    assert tag != ":latest"
    assert image.upstream_reference("mirror.test/all") == f"mirror.test/all/{reference}"


def test_an_upstream_digest_is_part_of_the_reference_where_it_is_known():
    image = Image("a", "registry.test/a:1", digest="sha256:" + "0" * 64)
    assert image.upstream_reference() == "registry.test/a:1@sha256:" + "0" * 64


@given(name=st.sampled_from(sorted(CATALOGUE)), digest=digests)
def test_a_local_reference_is_by_digest_and_is_found_in_the_catalogue(name, digest):
    reference = CATALOGUE[name].local_reference("registry.test:5000", digest)
    assert reference.endswith(f"@{digest}")
    assert images.repository(reference) == f"registry.test:5000/slipway/{name}"


def test_postgres_carries_its_major_version_for_the_operator():
    reference = CATALOGUE["postgres"].local_reference("registry.test:5000", "sha256:" + "0" * 64)
    assert reference.startswith("registry.test:5000/slipway/postgres:17@")
    assert versions.POSTGRES_UPSTREAM.startswith(f"{versions.POSTGRES_MAJOR}.")


@pytest.mark.parametrize("digest", ["", "latest", "sha256:short", "sha256:" + "G" * 64])
def test_a_digest_that_is_none_is_refused(digest):
    with pytest.raises(ValueError, match=r"'redis' has the digest .*allowed is sha256: and 64 hex digits"):
        CATALOGUE["redis"].local_reference("registry.test:5000", digest)


def test_an_image_that_nobody_publishes_says_what_to_do():
    with pytest.raises(ValueError, match=r"'service' is not published anywhere.*slipway-service:image"):
        CATALOGUE["service"].upstream_reference()


def test_an_unknown_image_is_named_with_those_that_are_known():
    with pytest.raises(KeyError, match=r"'nginx' is not in the catalogue.*redis"):
        images.image("nginx")


def test_the_platform_uses_images_of_the_catalogue():
    assert set(PLATFORM_IMAGES) <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("a", "a"),
        ("a:1", "a"),
        ("registry.test:5000/a", "registry.test:5000/a"),
        ("registry.test:5000/a:1@sha256:0", "registry.test:5000/a"),
    ],
)
def test_a_repository_is_a_reference_without_tag_and_digest(reference, repository):
    assert images.repository(reference) == repository
