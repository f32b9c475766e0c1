"""The twin of `Records` for /v1/users over httpx, in a network namespace if need be."""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from loadtests.plan import ANSWER_LIMIT, NETNS_FOLDER
from slipway.proof.own_reads import NoAnswerError
from slipway.proof.writer import Answer

_NEW_NET: Final = 0x40000000  # CLONE_NEWNET; Python has os.setns only from 3.12 on
_PAGE: Final = 100
_TOKEN: Final = "X-Consistency-Token"  # noqa: S105 -- the name of a header


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the service: the same words as in `LoadPlan`."""

    base_url: str
    host: str | None = None
    ca: Path | None = None
    address: str | None = None
    netns: str | None = None
    token: str = field(default="", repr=False)


def enter_namespace(name: str) -> None:
    """Put this thread, and no other, into a network namespace; its sockets from now on belong there.

    Raises:
        OSError: no such namespace, or no right to enter it.
    """
    descriptor = os.open(NETNS_FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(descriptor, _NEW_NET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot enter network namespace {name}: {os.strerror(number)}")
    finally:
        os.close(descriptor)


class Users:
    """`Records` over /v1/users. No retries: what the network did is what the ledger must see."""

    def __init__(self, way: Way, transport: httpx.BaseTransport | None = None) -> None:
        if way.netns is not None:
            enter_namespace(way.netns)
        url = urlsplit(way.base_url)
        self._name = way.host or url.hostname or ""
        port = f":{url.port}" if url.port else ""
        netloc = way.address if way.address and ":" in way.address else f"{way.address or url.hostname}{port}"
        context: SSLContext | bool = create_default_context(cafile=str(way.ca)) if way.ca else True
        headers = {"Host": f"{self._name}{port}", "Accept": "application/json"}
        if way.token:
            headers["Authorization"] = f"Bearer {way.token}"
        self._client = httpx.Client(
            base_url=urlunsplit((url.scheme, netloc, "", "", "")),
            headers=headers,
            timeout=ANSWER_LIMIT,
            transport=transport or httpx.HTTPTransport(verify=context, retries=0),
            trust_env=False,
        )

    def create(self, key: str, mark: str) -> Answer:
        """POST a user whose email is the mark."""
        try:
            answer = self._send(
                "POST", "/v1/users", json={"name": "Ledger", "email": mark}, headers={"Idempotency-Key": key}
            )
        except httpx.HTTPError as error:
            return Answer(0, error=f"{type(error).__name__}: {error}")
        try:
            data = answer.json().get("data", {}) if answer.status_code == HTTPStatus.CREATED else {}
        except ValueError:
            data = {}
        return Answer(answer.status_code, str(data.get("id", "")) if data.get("email") == mark else "")

    def exists(self, identity: str, mark: str) -> bool:
        """GET the user, past every cache."""
        answer = self._send("GET", f"/v1/users/{identity}", headers={"Cache-Control": "no-cache"})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        return answer.raise_for_status().json()["data"]["email"] == mark

    def rename(self, identity: str, name: str) -> str:
        """PATCH the user's name."""
        try:
            answer = self._send("PATCH", f"/v1/users/{identity}", json={"name": name})
        except httpx.HTTPError:
            return ""
        return answer.headers.get(_TOKEN, "") if answer.status_code == HTTPStatus.OK else ""

    def name_of(self, identity: str, token: str) -> str:
        """GET the user, past every cache.

        Raises:
            NoAnswerError: there was no answer, or one without the user.
        """
        headers = {"Cache-Control": "no-cache"} | ({_TOKEN: token} if token else {})
        try:
            answer = self._send("GET", f"/v1/users/{identity}", headers=headers)
            return str(answer.raise_for_status().json()["data"]["name"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    def marks(self, prefix: str) -> Iterator[str]:
        """Walk the whole list."""
        cursor: str | None = None
        while True:
            query: dict[str, str | int] = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
            answer = self._send("GET", "/v1/users", params=query, headers={"Cache-Control": "no-cache"})
            body = answer.raise_for_status().json()
            yield from (user["email"] for user in body["data"] if user["email"].startswith(prefix))
            cursor = body["meta"].get("next_cursor")
            if not cursor:
                return

    def delete(self, identity: str) -> None:
        """DELETE the user."""
        self._send("DELETE", f"/v1/users/{identity}").raise_for_status()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        return self._client.request(method, path, extensions={"sni_hostname": self._name}, **rest)
