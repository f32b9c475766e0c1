"""Access tokens of an external issuer (OpenID Connect): one audience, pinned algorithms, roles by a mapping."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import jwt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath

from app.core.issuer_keys import IssuerKeys, fetch_from
from app.core.principals import GRANTS, PERMISSIONS, Principal, Role
from app.core.tokens import ISSUER, TokenError

# Clocks of two organisations differ by that much, in seconds.
_LEEWAY = 10
_REQUIRED = ["iss", "aud", "sub", "exp", "iat"]
# `oidc:<sub>` goes into columns of 100 characters.
_LONGEST_SUBJECT = 95


def _foreign(issuer: str) -> str:
    if issuer == ISSUER:
        raise ValueError(f"{issuer} is the name in our own tokens; allowed: that of another issuer")
    return issuer


def _grantable(name: str) -> str:
    if name not in {*Role, *PERMISSIONS}:
        raise ValueError(
            f"grants {name}; allowed: a role ({', '.join(Role)}) or one of {', '.join(sorted(PERMISSIONS))}"
        )
    return name


class ExternalIssuer(BaseModel):
    """Whose tokens are believed besides our own.

    Attributes:
        issuer: what `iss` must say, to the letter.
        jwks_url: where its public keys are.
        audience: what `aud` must name: this API, not a client of it.
        algorithms: that tokens may be signed with.
        claim: where the words about a user are: names of claims, from the outside in; a list, or words in one text.
        grants: word in that claim -> role or permission. Any other word grants nothing.
        token_type: what `typ` in the head must say (`at+jwt`, RFC 9068); not looked at without it.
        ca_file: authorities that the address is trusted by instead of the system's, PEM.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Annotated[str, Field(min_length=1), AfterValidator(_foreign)]
    jwks_url: Annotated[str, Field(pattern=r"^https://[^\s@]+$")]
    audience: Annotated[str, Field(min_length=1)]
    algorithms: Annotated[tuple[Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"], ...], Field(min_length=1)] = (
        "RS256",
    )
    claim: Annotated[tuple[str, ...], Field(min_length=1)] = ("roles",)
    grants: Annotated[dict[str, Annotated[str, AfterValidator(_grantable)]], Field(min_length=1)]
    token_type: str | None = None
    ca_file: FilePath | None = None


def words_in(claims: Mapping[str, Any], path: tuple[str, ...]) -> frozenset[str]:
    """Return what a claim says: the texts of a list, or the words of a text (as `scope`); nothing for anything else."""
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()


def permissions_of(words: frozenset[str], grants: Mapping[str, str]) -> frozenset[str]:
    """Return what words grant together; one that is not listed grants nothing."""
    granted = [grants[word] for word in words if word in grants]
    return frozenset().union(*(GRANTS[Role(one)] if one in set(Role) else {one} for one in granted))


class IssuerTokens:
    """Verifies what an external issuer signed.

    Args:
        trusted: the issuer.
        keys: its keys; fetched from `jwks_url` if left out.
    """

    def __init__(self, trusted: ExternalIssuer, keys: IssuerKeys | None = None) -> None:
        self._trusted = trusted
        self._keys = keys or IssuerKeys(fetch_from(trusted.jwks_url, trusted.ca_file, trusted.algorithms))

    def claims_to_write(self, token: str) -> bool:
        """True if a token says, without proof, that it is of this issuer; ours do not, and so never wait for it."""
        try:
            return jwt.decode(token, options={"verify_signature": False}).get("iss") == self._trusted.issuer
        except (jwt.PyJWTError, ValueError, RecursionError):
            return False

    def verify(self, token: str) -> tuple[Principal, float]:
        """Return who a token speaks for, and for how many more seconds.

        Raises:
            TokenError: signature, algorithm, key, issuer, audience, subject or lifetime is wrong.
            IssuerAwayError: its key is not known, and the issuer could not be asked.
        """
        try:
            head = jwt.get_unverified_header(token)
            key = self._keys.get(head["kid"])
            if key is None:
                raise TokenError(f"the issuer has no key {head['kid']!r}")
            if self._trusted.token_type not in {None, head.get("typ")}:
                raise TokenError(f"typ is {head.get('typ')!r}; needed: {self._trusted.token_type!r}")
            claims = jwt.decode(
                token,
                key.key,
                key.algorithms,
                issuer=self._trusted.issuer,
                audience=self._trusted.audience,
                leeway=_LEEWAY,
                options={"require": _REQUIRED},
            )
            return self._principal(claims), float(claims["exp"]) - datetime.now(UTC).timestamp()
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise TokenError(str(error)) from error

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims["sub"]
        if not 0 < len(subject) <= _LONGEST_SUBJECT or not all("\x21" <= letter <= "\x7e" for letter in subject):
            raise TokenError(f"sub is {subject!r}; allowed: 1 to {_LONGEST_SUBJECT} visible ASCII characters")
        words = words_in(claims, self._trusted.claim)
        return Principal(f"oidc:{subject}", permissions_of(words, self._trusted.grants))
