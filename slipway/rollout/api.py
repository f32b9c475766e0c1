"""The little of the Kubernetes API that the controller and the client need: JSON over HTTP, and its errors as ours.

lightkube reads kubeconfigs and service-account tokens (and follows their rotation); paths and objects are plain, so
that every request of the controller can be read here and in its RBAC rules side by side.
"""

import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx2
from lightkube import KubeConfig
from lightkube.config.client_adapter import AsyncClient, ConnectionParams

from slipway.rollout.loop import Conflict, Unavailable

MANAGER: Final = "slipway-rollout"
"""Field manager of everything the controller writes."""
NOT_FOUND: Final = 404
CONFLICT: Final = 409
REFUSED: Final = (400, 401, 403, 405, 415, 422)

CORE: Final = "/api/v1"
APPS: Final = "/apis/apps/v1"
BATCH: Final = "/apis/batch/v1"
LEASES: Final = "/apis/coordination.k8s.io/v1"
ROLLOUTS: Final = "/apis/slipway.dev/v1alpha1"


class Refused(Exception):  # noqa: N818 - the server's answer
    """The API server understood and said no: a missing permission, or an object that its rules do not allow."""


def path_of(base: str, namespace: str, plural: str, name: str = "", subresource: str = "") -> str:
    """Return the path of a namespaced object, of its list when `name` is empty, or of a subresource."""
    parts = [base, "namespaces", namespace, plural, name, subresource]
    return "/".join(part for part in parts if part)


class Api:
    """A connection to one API server.

    Args:
        config: where and as whom; from `connect`.
        timeout: seconds for one request.
        manager: field manager of what is written.
    """

    def __init__(self, config: KubeConfig, *, timeout: float = 5.0, manager: str = MANAGER) -> None:
        context = config.get()
        if context is None:
            raise Refused("the kubeconfig has no current context: run `kubectl config use-context NAME`")
        self.manager = manager
        self._http: httpx2.AsyncClient = AsyncClient(context, ConnectionParams(timeout=httpx2.Timeout(timeout)))

    async def __aenter__(self) -> Self:
        """Enter; the connection is opened with the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def _send(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None, kind: str = "json"
    ) -> Any:
        headers = {"Content-Type": f"application/{kind}"} if body is not None else {}
        content = None if body is None else json.dumps(body).encode()
        try:
            # No parameters, not empty ones: those would take away what the path itself asks for.
            params = dict(query) if query else None
            answer = await self._http.request(method, path, content=content, params=params, headers=headers)
        except httpx2.HTTPError as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.status_code == NOT_FOUND:
            return None
        if answer.is_success:
            return answer.json()
        text = f"{method} {path}: {answer.status_code} {_message(answer)}"
        if answer.status_code == CONFLICT:
            raise Conflict(text)
        if answer.status_code in REFUSED:
            raise Refused(text)
        raise Unavailable(text)

    async def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, or None when there is none."""
        return await self._send("GET", path)

    async def list(self, path: str, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a list, by label selector."""
        found = await self._send("GET", path, query={"labelSelector": labels} if labels else None)
        return [] if found is None else found["items"]

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object.

        Raises:
            Conflict: it exists already.
        """
        return await self._written("POST", path, body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; its `metadata.resourceVersion`, when given, must be the present one.

        Raises:
            Conflict: it is not.
        """
        return await self._written("PUT", path, body)

    async def merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change some fields of an object (JSON merge patch)."""
        return await self._written("PATCH", path, body, kind="merge-patch+json")

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Own exactly these fields of an object (server-side apply), taking them from whoever had them."""
        return await self._written("PATCH", path, body, kind="apply-patch+yaml", force="true")

    async def delete(self, path: str, version: str) -> None:
        """Delete exactly this version of an object, after everything that it owns; harmless when it is gone.

        Raises:
            Conflict: it has another version by now.
        """
        body = {"preconditions": {"resourceVersion": version}, "propagationPolicy": "Foreground"}
        await self._send("DELETE", path, body=body)

    async def _written(
        self, method: str, path: str, body: Mapping[str, Any], *, kind: str = "json", **query: str
    ) -> dict[str, Any]:
        answer = await self._send(method, path, body=body, query={"fieldManager": self.manager, **query}, kind=kind)
        if answer is None:
            raise Conflict(f"{method} {path}: the object is gone")
        return answer

    async def watch(self, path: str, seconds: int) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of a list until the server ends the watch, after at most `seconds`.

        Raises:
            Unavailable: the connection broke.
        """
        query = {"watch": "true", "timeoutSeconds": str(seconds), "allowWatchBookmarks": "false"}
        try:
            async with self._http.stream("GET", path, params=query, timeout=httpx2.Timeout(5, read=seconds + 5)) as got:
                if not got.is_success:
                    raise Unavailable(f"watch {path}: {got.status_code}")
                async for line in got.aiter_lines():
                    yield json.loads(line)
        except httpx2.HTTPError as error:
            raise Unavailable(f"watch {path}: {error}") from error


def _message(answer: httpx2.Response) -> str:
    try:
        return str(answer.json().get("message", ""))
    except ValueError:
        return answer.text[:200]


def connect(kubeconfig: str | None = None, *, context: str | None = None) -> KubeConfig:
    """Return where the API server is: a kubeconfig file, else the environment's, else the pod's service account."""
    config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
    if context is None:
        return config
    return KubeConfig(
        clusters=config.clusters,
        contexts=config.contexts,
        users=config.users,
        current_context=context,
        fname=config.fname,
    )
