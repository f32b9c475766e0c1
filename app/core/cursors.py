"""Opaque page cursors: the last row's sort values, signed, so that clients cannot make their own."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

_SIGNATURE_BYTES = 16


class CursorError(ValueError):
    """The text is not a cursor that this service made."""


@dataclass(frozen=True)
class CursorSigner:
    """Turns sort values into text and back.

    Attributes:
        key: secret bytes, the same in every process of one environment.
    """

    key: bytes

    @classmethod
    def from_secret(cls, secret: str) -> "CursorSigner":
        """Derive the key from a secret that all processes share; cursors end when that secret is rotated."""
        return cls(hmac.digest(secret.encode(), b"slipway page cursor 1", hashlib.sha256))

    def encode(self, listing: str, values: Sequence[str]) -> str:
        """Return the cursor of a listing (its name and order) for the sort values of its last row."""
        payload = orjson.dumps(list(values))
        return base64.urlsafe_b64encode(self._sign(listing, payload) + payload).decode().rstrip("=")

    def decode(self, listing: str, cursor: str) -> list[str]:
        """Return the sort values of a cursor.

        Raises:
            CursorError: it was not made by `encode` with this key for this listing.
        """
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise CursorError(cursor) from None
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(listing, payload)):
            raise CursorError(cursor)
        values: list[str] = orjson.loads(payload)
        return values

    def _sign(self, listing: str, payload: bytes) -> bytes:
        return hmac.digest(self.key, listing.encode() + b"\0" + payload, hashlib.sha256)[:_SIGNATURE_BYTES]
