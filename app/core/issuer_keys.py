"""The public keys of an external issuer (JWKS, RFC 7517): fetched when needed, kept while the issuer is away."""

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import jwt
import urllib3
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from urllib3.exceptions import HTTPError

_LOG = logging.getLogger(__name__)

#: Seconds after which keys are fetched again: a key that the issuer takes back verifies for that long.
FRESH_SECONDS = 300.0
#: Seconds for which keys verify while the issuer cannot be asked.
KEPT_SECONDS = 3600.0
#: Seconds between two fetches, whether they succeed or not: tokens with invented keys make no more of them.
COOLDOWN_SECONDS = 30.0
# The whole fetch ends within the sum and a little: whoever needs a new key waits for it.
_CONNECT_SECONDS, _READ_SECONDS, _BODY_SECONDS = 1.0, 1.0, 2.0
_MOST_BYTES, _CHUNK_BYTES = 256 * 1024, 16 * 1024
_SHORTEST_RSA_BITS = 2048
_OK = 200

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class IssuerAwayError(Exception):
    """The issuer does not give its keys; this says nothing about a token."""


@dataclass(frozen=True)
class IssuerKey:
    """One key.

    Attributes:
        key: verifies.
        algorithms: with which it may be used, out of those that the settings allow.
    """

    key: PublicKey
    algorithms: tuple[str, ...]


def parse_keys(document: object, allowed: Collection[str]) -> dict[str, IssuerKey]:
    """Return the keys of a JWKS by `kid`, without those that cannot be used here (symmetric, short, for encryption).

    Raises:
        IssuerAwayError: it is no JWKS, or has no key that can be used.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, IssuerKey] = {}
    for entry in entries if isinstance(entries, list) else ():
        key = _key(entry, allowed) if isinstance(entry, dict) else None
        if key is not None and isinstance(entry.get("kid"), str):
            found.setdefault(entry["kid"], key)
    if not found:
        raise IssuerAwayError(f"it holds no key with a kid for {', '.join(allowed)}")
    return found


def _key(entry: dict[str, Any], allowed: Collection[str]) -> IssuerKey | None:
    if entry.get("use") not in {"sig", None}:
        return None
    try:
        made = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None  # of a kind that is none of ours; issuers publish such beside the others
    key = made.key
    if not isinstance(key, PublicKey) or (isinstance(key, RSAPublicKey) and key.key_size < _SHORTEST_RSA_BITS):
        return None
    # A key that names no algorithm may be used with each that is allowed; PyJWT refuses those of another kind of key.
    named = entry.get("alg")
    algorithms = tuple(one for one in allowed if named in {one, None})
    return IssuerKey(key, algorithms) if algorithms else None


class IssuerKeys:
    """The keys that are known now, for all threads of a process.

    One thread fetches. Others wait for it only if they have no key at all for their token; a request that needs neither
    (a token of our own, an API key) never comes here.

    Args:
        fetch: asks the issuer; raises `IssuerAwayError`.
        clock: seconds.
    """

    def __init__(
        self, fetch: Callable[[], Mapping[str, IssuerKey]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, IssuerKey] = {}
        self._fetched = self._tried = -KEPT_SECONDS
        self._away = True
        self._fetching = Lock()

    def get(self, kid: str) -> IssuerKey | None:
        """Return a key by its name; None if the issuer has no such key.

        Raises:
            IssuerAwayError: it is not known, and the issuer could not be asked.
        """
        known = self._known(kid)
        if known is None or self._clock() - self._fetched >= FRESH_SECONDS:
            self._refresh(wait=known is None)
            known = self._known(kid)
        if known is None and self._away:
            raise IssuerAwayError("the keys of the issuer cannot be fetched")
        return known

    def _known(self, kid: str) -> IssuerKey | None:
        return self._keys.get(kid) if self._clock() - self._fetched < KEPT_SECONDS else None

    def _refresh(self, *, wait: bool) -> None:
        if not self._fetching.acquire(blocking=wait):
            return
        try:
            if self._clock() - self._tried < COOLDOWN_SECONDS:
                return  # also whoever has waited for another thread's fetch
            self._tried = self._clock()
            self._keys = self._fetch()
            self._fetched = self._tried
            self._away = False
        except IssuerAwayError as error:
            self._away = True
            _LOG.warning("keys of the external issuer stay as they were", extra={"error.message": str(error)})
        finally:
            self._fetching.release()


def fetch_from(url: str, ca_file: Path | None, allowed: Collection[str]) -> Callable[[], Mapping[str, IssuerKey]]:
    """Return what asks a JWKS address: in bounded time and size, without following a redirect.

    Args:
        url: https.
        ca_file: whom to trust instead of the system's authorities, PEM.
        allowed: algorithms.
    """
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        retries=False,
        ca_certs=None if ca_file is None else str(ca_file),
    )

    def fetch() -> Mapping[str, IssuerKey]:
        try:
            return parse_keys(json.loads(_body(pool, url)), allowed)
        except (HTTPError, OSError, ValueError, RecursionError) as error:  # OSError: the file of authorities
            raise IssuerAwayError(f"{url}: {type(error).__name__}: {error}") from error
        except IssuerAwayError as error:
            raise IssuerAwayError(f"{url}: {error}") from error

    return fetch


def _body(pool: urllib3.PoolManager, url: str) -> bytes:
    until = time.monotonic() + _BODY_SECONDS
    answer = pool.request("GET", url, headers={"Accept": "application/json"}, redirect=False, preload_content=False)
    read = b""
    try:
        if answer.status != _OK:
            raise IssuerAwayError(f"answered {answer.status}; needed: {_OK}, without a redirect")
        while chunk := answer.read1(_CHUNK_BYTES):
            read += chunk
            if len(read) > _MOST_BYTES or time.monotonic() > until:
                raise IssuerAwayError(f"more than {_MOST_BYTES} bytes, or not read within {_BODY_SECONDS:.0f} s")
    finally:
        answer.close()
    return read
