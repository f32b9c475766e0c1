"""The authority of a stack: files that cannot be used stop the program, by name; what can be reaches every part."""

from datetime import UTC, datetime

import pytest
from infra_stand_ins import OWN_REGISTRY

from infra import authority, tls
from infra.authority import AuthorityError, AuthoritySettings
from infra.components.platform import Platform, PlatformConfig
from infra.parts import Store
from infra.settings import PlatformSettings

CERTIFICATE = "pulumi-python:dynamic/slipway:GeneratedCertificate"


@pytest.fixture(scope="module")
def pair():
    return tls.authority("Example root", days=30, now=datetime.now(UTC))


@pytest.fixture
def files(tmp_path, pair):
    (tmp_path / "ca.crt").write_text(pair.certificate)
    (tmp_path / "ca.key").write_text(pair.private_key)
    return AuthoritySettings(certificate_file=tmp_path / "ca.crt", private_key_file=tmp_path / "ca.key")


def test_the_files_are_the_authority(files, pair):
    assert authority.read(files) == pair


def test_a_file_that_is_not_there_is_named(files):
    files.private_key_file.unlink()
    with pytest.raises(AuthorityError, match=r"authority.privateKeyFile is '.*ca.key', which cannot be read: No such"):
        authority.read(files)


def test_a_file_that_is_no_pem_is_named(files):
    files.certificate_file.write_bytes(b"\x30\x82\xff")
    with pytest.raises(AuthorityError, match=r"authority.certificateFile is '.*ca.crt', .*not text in PEM"):
        authority.read(files)


def test_what_cannot_sign_is_told_without_its_key(files, pair):
    files.private_key_file.write_text(tls.authority("Another", days=1, now=datetime.now(UTC)).private_key)
    with pytest.raises(AuthorityError, match="authority cannot be used: the private key is not that of") as caught:
        authority.read(files)
    assert "PRIVATE KEY" not in str(caught.value)
    assert pair.private_key not in str(caught.value)


def test_it_signs_every_certificate_of_the_platform_and_is_what_services_trust(deploy, release, pair):
    """With everything there is: no part has an authority of its own."""
    settings = PlatformSettings(traces=Store.MANAGED, backups=Store.MANAGED)
    config = PlatformConfig("test", OWN_REGISTRY, settings, release, pair)
    run = deploy(lambda: Platform("platform", config))
    assert not run.of("pulumi-python:dynamic/slipway:GeneratedAuthority")
    made = run.of(CERTIFICATE)
    assert {it.name for it in made} == {
        "ingress",
        "ingress-observer",
        "metrics-server",
        "elasticsearch",
        "jaeger",
        "postgres",
        "redis",
        "redis-cache",
        "object-store",
        "backup-plugin",
        "backup-operator",
    }
    assert {it.inputs["authority_certificate"] for it in made} == {pair.certificate}
    assert pair.private_key not in run.plain_texts()
    trusted = [it["stringData"]["ca.crt"] for it in run.objects() if "ca.crt" in it.get("stringData", {})]
    assert trusted
    assert set(trusted) == {pair.certificate}
