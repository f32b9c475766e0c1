"""Certificates: made once, made anew in time, keys never in plain text and never twice in the state."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from infra import naming, tls
from infra.components import certificates
from infra.components.certificates import (
    AuthorityProvider,
    Certificates,
    CertificatesConfig,
    ServerCertificateProvider,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AUTHORITY = tls.authority("Slipway test", days=3650, now=NOW)
HOSTS = naming.service_hosts()


def test_these_resources_exist_and_no_others(deploy):
    run = deploy(lambda: Certificates("certificates", CertificatesConfig("Slipway test", HOSTS)))
    assert run.counts() == {
        "pulumi-python:dynamic/slipway:GeneratedAuthority": 1,
        "pulumi-python:dynamic/slipway:GeneratedCertificate": 1,
    }
    server = run.one("pulumi-python:dynamic/slipway:GeneratedCertificate")
    assert server.inputs["dns_names"] == list(HOSTS)
    assert server.inputs["authority_certificate"].startswith("certificate-of-authority\n")
    assert server.inputs["authority_key"] == "plain-key-of-authority"
    assert not [text for text in run.plain_texts() if "plain-key" in text]


def test_a_preview_does_not_need_the_authority(deploy):
    run = deploy(lambda: Certificates("certificates", CertificatesConfig("Slipway test", HOSTS)), preview=True)
    assert len(run.counts()) == 2


def test_what_is_made_is_signed_for_every_host():
    authority = AuthorityProvider().create({"common_name": "Slipway test", "days": 3650}).outs
    props = {
        "dns_names": list(HOSTS),
        "authority_certificate": authority["certificate"],
        "authority_key": authority["private_key"],
        "days": 398,
    }
    made = ServerCertificateProvider().create(props).outs
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == HOSTS
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority["certificate"].encode()))


def test_the_authoritys_key_is_kept_in_one_place_only():
    props = {
        "dns_names": ["a.test"],
        "authority_certificate": AUTHORITY.certificate,
        "authority_key": AUTHORITY.private_key,
        "days": 30,
    }
    assert AUTHORITY.private_key not in ServerCertificateProvider().create(props).outs.values()


def test_nothing_changes_until_a_certificate_is_due():
    pair = tls.server(["a.test"], AUTHORITY, days=30, now=NOW)
    olds = {"dns_names": ["a.test"], "days": 30, "certificate": pair.certificate}
    news = {"dns_names": ["a.test"], "days": 30}
    for days, due in ((0, False), (19, False), (21, True)):
        diff = certificates.changes(olds, news, ("dns_names", "days"), now=NOW + timedelta(days=days))
        assert diff.changes is due
        assert diff.replaces == (["certificate"] if due else [])
        assert diff.delete_before_replace is False


@pytest.mark.parametrize("change", [{"dns_names": ["b.test"]}, {"days": 31}])
def test_other_wishes_make_another_certificate(change):
    pair = tls.server(["a.test"], AUTHORITY, days=30, now=NOW)
    olds = {"dns_names": ["a.test"], "days": 30, "certificate": pair.certificate}
    diff = certificates.changes(olds, {"dns_names": ["a.test"], "days": 30, **change}, ("dns_names", "days"), now=NOW)
    assert diff.changes is True
    assert diff.replaces == list(change)


def test_a_certificate_for_nothing_is_refused(deploy):
    with pytest.raises(ValueError, match="at least one host name"):
        deploy(lambda: Certificates("certificates", CertificatesConfig("Slipway test", ())))


def test_an_authority_that_is_given_signs_and_none_is_made(deploy):
    run = deploy(lambda: Certificates("certificates", CertificatesConfig("Slipway test", HOSTS, AUTHORITY)))
    assert run.counts() == {"pulumi-python:dynamic/slipway:GeneratedCertificate": 1}
    server = run.one("pulumi-python:dynamic/slipway:GeneratedCertificate")
    assert server.inputs["authority_certificate"] == AUTHORITY.certificate
    assert server.inputs["authority_key"] == AUTHORITY.private_key
    assert AUTHORITY.private_key not in run.plain_texts()
