"""Where an image comes from and what it holds, said in a form that others read, and signed: the pure part.

The statement is in-toto's, its predicate SLSA's provenance or a CycloneDX document, its envelope DSSE; the signature
covers the digest, so it holds wherever the image is copied to. docs/adr/0069 says why a key and no transparency log.

Sources: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance,
https://github.com/secure-systems-lab/dsse/blob/master/protocol.md.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import (
    CryptoSigner,  # pyright: ignore[reportPrivateImportUsage] - its documented place
    SSlibKey,  # pyright: ignore[reportPrivateImportUsage]
)

from slipway.rollout.client import digest_of

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
SBOM: Final = "https://cyclonedx.org/bom"
PAYLOAD: Final = "application/vnd.in-toto+json"
BUILD: Final = "https://slipway.dev/build/image/v1"
_MAKE_KEY: Final = "`openssl genpkey -algorithm ed25519` makes one"


class ProvenanceError(ValueError):
    """An attestation that does not hold, or a key that cannot be used; the message says what was wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """How an image was made.

    Attributes:
        image: Its name, by digest.
        repository: Address of the repository, such as https://github.com/team/notes.
        ref: What was checked out, such as refs/tags/v1.
        commit: 40 or 64 hexadecimal digits.
        builder: Who made it, such as the address of the workflow.
        run: Which run of it; empty if there are no runs.
        finished: When.
    """

    image: str
    repository: str
    ref: str
    commit: str
    builder: str
    run: str
    finished: datetime


def statement(built: Built) -> dict[str, Any]:
    """The in-toto statement about an image. Raises `UsageError` if it is not named by digest."""
    predicate = {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {"repository": built.repository, "ref": built.ref},
            "internalParameters": {},
            "resolvedDependencies": [
                {"uri": f"git+{built.repository}@{built.ref}", "digest": {"gitCommit": built.commit}}
            ],
        },
        "runDetails": {
            "builder": {"id": built.builder},
            "metadata": {"invocationId": built.run, "finishedOn": built.finished.isoformat(timespec="seconds")},
        },
    }
    return _about(built.image, PREDICATE, predicate)


def listing(image: str, document: Any) -> dict[str, Any]:
    """The in-toto statement that a CycloneDX document lists what an image holds.

    Args:
        image: By digest.
        document: The document, read.

    Raises:
        ProvenanceError: It is about something else.
        UsageError: The image is not named by digest.
    """
    digest = digest_of(image)
    try:
        about = document["metadata"]["component"]["version"]
    except (KeyError, TypeError):
        about = None
    if about != digest:
        raise ProvenanceError(
            f"the list is about {about!r}, not {digest}; `slipway audit image {image}` writes the one of this image"
        )
    return _about(image, SBOM, document)


def sign(said: Mapping[str, Any], key: bytes) -> str:
    """Sign a statement; returns the envelope as one line of JSON.

    Args:
        said: The statement.
        key: Private key in PEM, without a passphrase: Ed25519 or ECDSA.

    Raises:
        ProvenanceError: It is no such key.
    """
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProvenanceError(f"the signing key cannot be read as PEM without a passphrase; {_MAKE_KEY}") from error
    if not isinstance(private, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise ProvenanceError(
            f"the signing key is a {type(private).__name__}; allowed are Ed25519 and ECDSA; {_MAKE_KEY}"
        )
    payload = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    envelope = Envelope(payload, PAYLOAD, {})
    envelope.sign(CryptoSigner(private))
    return json.dumps(envelope.to_dict(), separators=(",", ":"))


def verify(text: str, key: bytes, image: str, *, repository: str | None = None) -> dict[str, Any]:
    """Check that an envelope was signed by a key and says where an image comes from.

    Args:
        text: The envelope.
        key: Public key in PEM.
        image: By digest.
        repository: If given, what it must have been built from.

    Returns:
        The statement, now trusted.

    Raises:
        ProvenanceError: The signature, the kind, the digest or the repository is another.
        UsageError: The image is not named by digest.
    """
    said = opened(text, key, image, PREDICATE)
    source = said["predicate"].get("buildDefinition", {}).get("externalParameters", {}).get("repository")
    if repository is not None and source != repository:
        raise ProvenanceError(f"the image was built from {source!r}; wanted {repository!r}")
    return said


def opened(text: str, key: bytes, image: str, predicate: str) -> dict[str, Any]:
    """The statement of an envelope, once it is sure that a key has signed it about an image.

    Args:
        text: The envelope.
        key: Public key in PEM.
        image: By digest; the name does not count, as images are copied between registries.
        predicate: What kind of thing it must say.

    Raises:
        ProvenanceError: The signature, the kind or the digest is another.
        UsageError: The image is not named by digest.
    """
    digest = digest_of(image).removeprefix("sha256:")
    try:
        envelope = Envelope.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, FormatError, binascii.Error) as error:
        raise ProvenanceError(f"this is no DSSE envelope: {type(error).__name__}: {error}") from error
    try:
        envelope.verify([public_key(key)], 1)
    except VerificationError as error:
        raise ProvenanceError(
            "the attestation was not signed by this key, or has been changed since; take the envelope that `slipway "
            "audit sign` wrote, and the public key that belongs to it"
        ) from error
    # Only from here on is anything believed that the envelope says.
    if envelope.payload_type != PAYLOAD:
        raise ProvenanceError(f"the envelope holds {envelope.payload_type!r}; wanted {PAYLOAD!r}")
    said = json.loads(envelope.payload)
    if not _is_statement(said, predicate):
        raise ProvenanceError(f"the envelope holds no statement {STATEMENT} with predicate {predicate}")
    about = [it.get("digest", {}).get("sha256") for it in said["subject"]]
    if digest not in about:
        raise ProvenanceError(
            f"the attestation is about sha256:{', sha256:'.join(map(str, about))}, not sha256:{digest}"
        )
    return said


def public_key(pem: bytes) -> SSlibKey:
    """A public key. Raises `ProvenanceError` if it is none of ours."""
    try:
        found = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ProvenanceError("the public key cannot be read as PEM; `openssl pkey -pubout` writes it") from error
    if not isinstance(found, Ed25519PublicKey | EllipticCurvePublicKey):
        raise ProvenanceError(f"the public key is a {type(found).__name__}; allowed are Ed25519 and ECDSA")
    return SSlibKey.from_crypto(found)


def packed(envelope: str) -> str:
    """An envelope as one word, for outputs of jobs."""
    return base64.b64encode(envelope.encode()).decode()


def unpacked(word: str) -> str:
    """The envelope of one word. Raises `ProvenanceError` if it is none."""
    try:
        return base64.b64decode(word, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ProvenanceError("the attestation is no base64 text: take the output of `slipway audit sign`") from error


def name_of(image: str) -> str:
    """Name of an image without digest and tag."""
    before = image.partition("@")[0]
    path, colon, last = before.rpartition(":")
    return before if not colon or "/" in last else path


def _about(image: str, kind: str, predicate: Any) -> dict[str, Any]:
    digest = digest_of(image).removeprefix("sha256:")
    return {
        "_type": STATEMENT,
        "subject": [{"name": name_of(image), "digest": {"sha256": digest}}],
        "predicateType": kind,
        "predicate": predicate,
    }


def _is_statement(said: Any, predicate: str) -> TypeGuard[dict[str, Any]]:
    if not isinstance(said, dict) or not isinstance(said.get("predicate"), dict):
        return False
    kind = (said.get("_type"), said.get("predicateType"))
    subjects = said.get("subject")
    return (
        kind == (STATEMENT, predicate) and isinstance(subjects, list) and all(isinstance(it, dict) for it in subjects)
    )
