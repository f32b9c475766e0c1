"""Tells another service what happened: signed, in bounded time, with few retries, and not at all while it is ill.

The form is that of Standard Webhooks: `webhook-id` is the same for every attempt, so a receiver can drop the second
copy; `webhook-signature` is `v1,` and base64 of HMAC-SHA-256 over `id.timestamp.body`.
"""

import base64
import hashlib
import hmac
import time
from pathlib import Path
from threading import Lock

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from app.core import trace
from app.core.breaker import Breaker
from app.core.secret_files import read_key

# Two tries of both end before the transaction around them does.
_CONNECT_SECONDS, _READ_SECONDS = 1.0, 1.0
_AGAIN = {429, 502, 503, 504}
_FIRST_SUCCESS, _FIRST_OTHER = 200, 300
_OPENS_AFTER, _PAUSE_SECONDS = 5, 10.0


class WebhookError(Exception):
    """The receiver did not take it; the text says why."""


class WebhookAwayError(WebhookError):
    """The receiver failed so often that it was not even asked; this says nothing about the message."""


class RetryBudget:
    """Lets retries be a share of calls: a receiver that fails everything gets a tenth more, not twice as much.

    Args:
        share: retries that each call earns.
        most: retries that can be saved up; so many are there at the start.
    """

    def __init__(self, share: float, most: float) -> None:
        self._share = share
        self._most = most
        self._left = most
        self._lock = Lock()

    def earn(self) -> None:
        """A first try is made."""
        with self._lock:
            self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """True if a retry may be made; it is counted."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Webhook:
    """Sends to one address.

    Args:
        url: of the receiver; a redirect is not followed.
        key_file: the secret that both sides share, read for each call.
    """

    def __init__(self, url: str, key_file: Path) -> None:
        self._url = url
        self._key_file = key_file
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS), retries=False
        )
        self._breaker = Breaker(failures=_OPENS_AFTER, pause=_PAUSE_SECONDS)
        self._budget = RetryBudget(share=0.1, most=5)

    def send(self, name: str, data: object) -> None:
        """Send one event; `name` is the same for every attempt.

        Raises:
            WebhookAwayError: not tried, the receiver is ill.
            WebhookError: tried, and not taken.
        """
        if not self._breaker.allows():
            raise WebhookAwayError(f"webhook {self._url}: left alone for up to {_PAUSE_SECONDS:.0f} s")
        self._budget.earn()
        body = orjson.dumps(data)
        failure, worth_it = self._try(name, body)
        if failure is not None and worth_it and self._budget.spend():
            failure, worth_it = self._try(name, body)
        if failure is None or not worth_it:
            self._breaker.succeeded()  # it answers, if only "no"
        else:
            self._breaker.failed()
        if failure is not None:
            raise WebhookError(f"webhook {self._url}: {failure}")

    def _try(self, name: str, body: bytes) -> tuple[str | None, bool]:
        """Why it was not taken (None: it was), and whether another try may end otherwise."""
        headers = {"content-type": "application/json", **signed(read_key(self._key_file), name, int(time.time()), body)}
        here = trace.current()
        if here is not None:
            headers["traceparent"] = here.header
        try:
            # What it says beyond the status is nothing to us, and could be endless.
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers, redirect=False, preload_content=False
            )
            answer.close()
        except HTTPError as error:
            return type(error).__name__, True
        if _FIRST_SUCCESS <= answer.status < _FIRST_OTHER:
            return None, False
        return f"answered {answer.status}", answer.status in _AGAIN


def signed(key: str, name: str, moment: int, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent a body, and when (seconds since 1970)."""
    code = hmac.new(key.encode(), f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(moment),
        "webhook-signature": f"v1,{base64.b64encode(code).decode()}",
    }
