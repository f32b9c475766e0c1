"""Access tokens: JWTs signed with Ed25519, verified with one pinned algorithm, published as a JWKS."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import OKPAlgorithm

from app.core.principals import GRANTS, Principal, Role
from app.core.secret_files import SecretError, read_secret

ISSUER = "slipway-payload"
AUDIENCE = "payload"
LIFETIME = timedelta(minutes=10)
_ALGORITHM = "EdDSA"
_PEM = re.compile(r"-----BEGIN [^-]+-----.+?-----END [^-]+-----", re.DOTALL)


class TokenError(Exception):
    """The text is not a valid access token, ours or of the external issuer."""


@dataclass(frozen=True)
class Keyring:
    """The keys of this service.

    Attributes:
        signing: signs new tokens.
        kid: the name of the signing key.
        verifying: name -> key, of every key that tokens may be signed with; more than one while keys are rotated.
    """

    signing: Ed25519PrivateKey
    kid: str
    verifying: Mapping[str, Ed25519PublicKey]

    @classmethod
    def from_file(cls, path: Path) -> "Keyring":
        """Read Ed25519 private keys in PEM: the first signs, all verify.

        Raises:
            SecretError: the file cannot be read, or holds something else.
        """
        try:
            keys = [load_pem_private_key(text.encode(), None) for text in _PEM.findall(read_secret(path))]
        except ValueError as error:
            raise SecretError(f"secret file {path}: a key cannot be read ({error})") from error
        pairs = [(_thumbprint(key.public_key()), key) for key in keys if isinstance(key, Ed25519PrivateKey)]
        if not pairs or len(pairs) != len(keys):
            raise SecretError(
                f"secret file {path}: {len(pairs)} of {len(keys)} keys are Ed25519; allowed: one or more Ed25519 "
                "private keys in PEM (openssl genpkey -algorithm ed25519)"
            )
        return cls(pairs[0][1], pairs[0][0], {kid: key.public_key() for kid, key in pairs})

    def issue(self, user_id: UUID, role: Role, now: datetime) -> str:
        """Return a signed token for a user."""
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(user_id), "role": role, "iat": now, "exp": now + LIFETIME}
        return jwt.encode(claims, self.signing, _ALGORITHM, headers={"kid": self.kid})

    def verify(self, token: str) -> tuple[Principal, float]:
        """Return who a token speaks for, and for how many more seconds.

        Raises:
            TokenError: signature, algorithm, key, issuer, audience or lifetime is wrong.
        """
        try:
            key = self.verifying[jwt.get_unverified_header(token)["kid"]]
            required = ["iss", "aud", "sub", "exp", "iat", "role"]
            claims = jwt.decode(
                token, key, [_ALGORITHM], issuer=ISSUER, audience=AUDIENCE, options={"require": required}
            )
            principal = Principal(f"user:{UUID(claims['sub'])}", GRANTS[Role(claims["role"])])
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as error:
            raise TokenError(str(error)) from error
        return principal, claims["exp"] - datetime.now(UTC).timestamp()

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as others fetch them."""
        return {
            "keys": [_jwk(key) | {"kid": kid, "use": "sig", "alg": _ALGORITHM} for kid, key in self.verifying.items()]
        }


def _jwk(key: Ed25519PublicKey) -> dict[str, Any]:
    return json.loads(OKPAlgorithm.to_jwk(key))


def _thumbprint(key: Ed25519PublicKey) -> str:
    """A name that follows from the key (as RFC 7638 does): every process finds the same one."""
    members = {name: value for name, value in _jwk(key).items() if name in {"crv", "kty", "x"}}
    return hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
