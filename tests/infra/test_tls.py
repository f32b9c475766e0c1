"""Certificates: a client that trusts the authority accepts the server, for every name, until it is due."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from infra import tls

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority():
    return tls.authority("Slipway test", days=3650, now=NOW)


def verify(pair, authority, name, now=NOW):
    store = Store([x509.load_pem_x509_certificate(authority.certificate.encode())])
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(name))
    return verifier.verify(x509.load_pem_x509_certificate(pair.certificate.encode()), [])


def test_a_server_is_accepted_for_each_of_its_names(authority):
    pair = tls.server(["a.slipway.test", "b.slipway.test"], authority, days=30, now=NOW)
    for name in ("a.slipway.test", "b.slipway.test"):
        assert len(verify(pair, authority, name)) == 2
    with pytest.raises(VerificationError):
        verify(pair, authority, "c.slipway.test")


def test_a_server_is_refused_by_who_trusts_another_authority(authority):
    pair = tls.server(["a.slipway.test"], authority, days=30, now=NOW)
    with pytest.raises(VerificationError):
        verify(pair, tls.authority("Slipway test", days=30, now=NOW), "a.slipway.test")


def test_a_server_is_refused_after_its_life(authority):
    pair = tls.server(["a.slipway.test"], authority, days=30, now=NOW)
    with pytest.raises(VerificationError):
        verify(pair, authority, "a.slipway.test", NOW + timedelta(days=31))


def test_a_server_never_outlives_its_authority():
    short = tls.authority("Slipway test", days=10, now=NOW)
    pair = tls.server(["a.slipway.test"], short, days=398, now=NOW)
    end = x509.load_pem_x509_certificate(pair.certificate.encode()).not_valid_after_utc
    assert end <= x509.load_pem_x509_certificate(short.certificate.encode()).not_valid_after_utc


def test_addresses_can_be_certified(authority):
    pair = tls.server(["10.0.0.1"], authority, days=30, now=NOW)
    names = x509.load_pem_x509_certificate(pair.certificate.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert [str(it) for it in names.value.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]


def test_every_key_is_its_own(authority):
    keys = {tls.server(["a.slipway.test"], authority, days=30, now=NOW).private_key for _ in range(3)}
    assert len(keys) == 3


def test_a_certificate_is_due_after_two_thirds_of_its_life(authority):
    certificate = tls.server(["a.slipway.test"], authority, days=30, now=NOW).certificate
    assert not tls.due(certificate, NOW + timedelta(days=19))
    assert tls.due(certificate, NOW + timedelta(days=21))


def test_a_certificate_without_a_name_is_refused(authority):
    with pytest.raises(ValueError, match="at least one host name"):
        tls.server([], authority, days=30, now=NOW)
