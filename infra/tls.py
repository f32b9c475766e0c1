"""X.509 in pure functions: keys and certificates in, PEM out. Randomness and the given time are all they depend on."""

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Clocks of clients may be behind ours.
_SKEW: Final = timedelta(minutes=5)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its key, both in PEM; after the certificate there may be those of who signed it, in order."""

    certificate: str
    private_key: str


def authority(common_name: str, *, days: int, now: datetime) -> KeyPair:
    """A certificate authority that signs servers, and no further authorities.

    Args:
        common_name: What people see as its name.
        days: How long it lives.
        now: The time, with a time zone.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(name, name, key.public_key(), days=days, now=now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate, key)


def given(certificate: str, private_key: str, *, now: datetime) -> KeyPair:
    """An authority that others have made, if it can sign servers.

    Args:
        certificate: In PEM, first the one that signs, then those up to the root, which clients know.
        private_key: In PEM, without a passphrase.
        now: The time, with a time zone.

    Raises:
        ValueError: It cannot; the message never holds anything of the key.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError as error:
        raise ValueError(f"the authority's certificate is not in PEM: {error}") from None
    signer, key = chain[0], _signing_key(private_key)
    name = signer.subject.rfc4514_string()
    if key.public_key() != signer.public_key():
        raise ValueError(f"the private key is not that of the authority {name}")
    for lower, upper in itertools.pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            raise ValueError(
                f"{lower.subject.rfc4514_string()} is not signed by {upper.subject.rfc4514_string()}, which follows "
                "it; the order is the one that signs first, the root last"
            ) from None
    for it in chain:
        _check_authority(it, now)
    return KeyPair(certificate, private_key)


def server(names: Sequence[str], signer: KeyPair, *, days: int, now: datetime, client: bool = False) -> KeyPair:
    """A server's certificate, or a client's, followed by what a client needs between it and the root.

    Args:
        names: Host names and addresses that it is for; the first is its common name.
        signer: The authority.
        days: How long it lives; cut to the authority's own life.
        now: The time, with a time zone.
        client: Whether it is for a client instead.

    Raises:
        ValueError: No name is given, or the authority's key is of a kind that cannot sign.
    """
    if not names:
        raise ValueError("a server certificate needs at least one host name or address")
    chain = x509.load_pem_x509_certificates(signer.certificate.encode())
    issuer, issuer_key = chain[0], _signing_key(signer.private_key)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    life = min(days, (issuer.not_valid_after_utc - now).days)
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), days=life, now=now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    pair = _pem(certificate, key)
    between = [it.public_bytes(serialization.Encoding.PEM).decode() for it in chain if it.issuer != it.subject]
    return KeyPair(pair.certificate + "".join(between), pair.private_key)


def due(certificate: str, now: datetime) -> bool:
    """Whether two thirds of a certificate's life are over.

    Args:
        certificate: In PEM.
        now: The time, with a time zone.
    """
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    begin, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    return now > begin + (end - begin) * 2 / 3


def end(certificate: str) -> datetime:
    """When a certificate's life ends.

    Args:
        certificate: In PEM.
    """
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def serial(certificate: str) -> int:
    """What tells a certificate from the one that was before it.

    Args:
        certificate: In PEM.
    """
    return x509.load_pem_x509_certificate(certificate.encode()).serial_number


def _signing_key(private_key: str) -> SigningKey:
    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Nothing of the cause: it may quote what it was given.
        raise ValueError("the authority's private key is not in PEM, or has a passphrase; allowed is neither") from None
    if not isinstance(key, SigningKey):
        raise ValueError(f"the authority's key is a {type(key).__name__}; allowed are elliptic curves and RSA")  # noqa: TRY004  # what is wrong is a file that was given
    return key


def _check_authority(certificate: x509.Certificate, now: datetime) -> None:
    name = certificate.subject.rfc4514_string()
    try:
        signs = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        signs = False
    if not signs:
        raise ValueError(f"{name} is no authority: its certificate does not say that it may sign others (CA:TRUE)")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise ValueError(
            f"the authority {name} is good from {certificate.not_valid_before_utc.isoformat()} to "
            f"{certificate.not_valid_after_utc.isoformat()}, which is not now"
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
