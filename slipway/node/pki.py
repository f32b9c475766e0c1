"""Certificates of the cluster: one CA, one front-proxy CA, and a leaf for every part (RFC 5280 by `cryptography`).

Existing files are kept, so that making the cluster again changes nothing; leaves are made anew when less than
`RENEW_BEFORE` is left, when their addresses changed, or when their CA did.
"""

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE = dt.timedelta(days=3650)
LEAF_LIFE = dt.timedelta(days=397)  # the longest that common clients accept for a server
RENEW_BEFORE = dt.timedelta(days=30)
CLOCK_SKEW = dt.timedelta(minutes=5)


@final
@dataclass(frozen=True)
class Leaf:
    """A certificate to make.

    Args:
        file: name of the files, without ending.
        common_name: the subject's CN; for Kubernetes clients, the user.
        organizations: the subject's O; for Kubernetes clients, the groups.
        hosts: DNS names and IP addresses, for servers.
        ca: file name of the CA that signs.
    """

    file: str
    common_name: str
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ca: str = "ca"


def ensure_ca(folder: Path, name: str, common_name: str) -> None:
    """Make the CA `name` in `folder` unless it is there."""
    if (folder / f"{name}.crt").exists() and (folder / f"{name}.key").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_pair(folder, name, key, certificate)


def ensure_leaf(folder: Path, leaf: Leaf, now: dt.datetime | None = None) -> bool:
    """Make or renew a leaf.

    Returns:
        Whether files were written.
    """
    now = now or dt.datetime.now(dt.UTC)
    ca = x509.load_pem_x509_certificate((folder / f"{leaf.ca}.crt").read_bytes())
    if _still_good(folder, leaf, ca, now):
        return False
    ca_key = serialization.load_pem_private_key((folder / f"{leaf.ca}.key").read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{folder / leaf.ca}.key is not an elliptic-curve key; remove the folder to make a new CA")
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in leaf.organizations]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    )
    builder = builder.add_extension(
        # Without it a strict verifier (Python 3.13's default) refuses the chain.
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
        critical=False,
    )
    if leaf.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(leaf.hosts)), critical=False)
    _write_pair(folder, leaf.file, key, builder.sign(ca_key, hashes.SHA256()))
    return True


def due(folder: Path, leaf: Leaf, now: dt.datetime | None = None) -> bool:
    """Whether `ensure_leaf` would make a leaf anew."""
    ca = x509.load_pem_x509_certificate((folder / f"{leaf.ca}.crt").read_bytes())
    return not _still_good(folder, leaf, ca, now or dt.datetime.now(dt.UTC))


def end(folder: Path, name: str) -> dt.datetime:
    """When the life of a certificate that is there ends."""
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes()).not_valid_after_utc


def ensure_service_account_keys(folder: Path) -> None:
    """The RSA pair that signs service-account tokens (sa.key, sa.pub)."""
    if (folder / "sa.key").exists() and (folder / "sa.pub").exists():
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(folder / "sa.key", _pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write(folder / "sa.pub", public)


def _still_good(folder: Path, leaf: Leaf, ca: x509.Certificate, now: dt.datetime) -> bool:
    path = folder / f"{leaf.file}.crt"
    if not path.exists() or not (folder / f"{leaf.file}.key").exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # noqa: BLE001 - any doubt about the signature means: make it anew
        return False
    hosts = set(leaf.hosts)
    extensions = certificate.extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        present = {str(name.value) for name in names}
    except x509.ExtensionNotFound:
        present = set[str]()
    return certificate.not_valid_after_utc - now > RENEW_BEFORE and present == hosts


def _general_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_pair(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    _write(folder / f"{name}.key", _pem(key))
    _write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, data: bytes) -> None:
    """Write privately and whole: a reader never sees half a key."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
