"""Certificates: a client that trusts the authority accepts the server, for every name, until it is due."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
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


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def authority_of_others(key, *, name="Example root", above=None, ca=True):
    """A certificate as a company's own tools would make it: (PEM, certificate)."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signer = (above[0].subject, above[1]) if above else (subject, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1000))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(signer, hashes.SHA256())
    )
    return made, key


def text(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


KEYS = {
    "curve": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


@pytest.mark.parametrize("kind", KEYS)
def test_an_authority_of_others_signs_and_the_way_to_its_root_is_sent_along(kind):
    root = authority_of_others(KEYS[kind]())
    middle = authority_of_others(KEYS[kind](), name="Example servers", above=root)
    signer = tls.given(text(middle[0]) + text(root[0]), pem(middle[1]), now=NOW)
    sent = x509.load_pem_x509_certificates(
        tls.server(["a.slipway.test"], signer, days=30, now=NOW).certificate.encode()
    )
    assert [it.subject.rfc4514_string() for it in sent] == ["CN=a.slipway.test", "CN=Example servers"]
    verifier = PolicyBuilder().store(Store([root[0]])).time(NOW).build_server_verifier(x509.DNSName("a.slipway.test"))
    assert len(verifier.verify(sent[0], sent[1:])) == 3


def test_an_authority_that_is_its_own_root_is_not_sent_along():
    root = authority_of_others(KEYS["curve"]())
    signer = tls.given(text(root[0]), pem(root[1]), now=NOW)
    made = tls.server(["a.slipway.test"], signer, days=30, now=NOW)
    assert made.certificate.count("BEGIN CERTIFICATE") == 1
    verify(made, signer, "a.slipway.test")


def test_what_cannot_sign_is_refused_and_no_key_is_quoted():
    key, other = KEYS["curve"](), KEYS["curve"]()
    root = authority_of_others(key)
    leaf = authority_of_others(key, ca=False)
    stranger = authority_of_others(other, name="Another root")
    wrong = {
        "is not in PEM": ("no certificate", pem(key)),
        "private key is not in PEM": (text(root[0]), "no key"),
        "is not that of the authority CN=Example root": (text(root[0]), pem(other)),
        "a Ed25519PrivateKey": (text(root[0]), pem(ed25519.Ed25519PrivateKey.generate())),
        "is no authority": (text(leaf[0]), pem(key)),
        "is not signed by CN=Another root": (text(root[0]) + text(stranger[0]), pem(key)),
    }
    for message, (certificate, private_key) in wrong.items():
        with pytest.raises(ValueError, match=message) as caught:
            tls.given(certificate, private_key, now=NOW)
        assert private_key not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(ValueError, match="which is not now"):
        tls.given(text(root[0]), pem(key), now=NOW + timedelta(days=1001))
