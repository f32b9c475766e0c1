"""Routers: where weights are written, and where they are read back from. The interface, `memory` and `haproxy`.

An HTTPRoute adapter would be a third class here: it writes other objects and reads other proxies, nothing else changes.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import httpx

from slipway.rollout import objects
from slipway.rollout.api import CORE, Api, path_of
from slipway.rollout.desired import preview_weights
from slipway.rollout.haproxy import (
    Server,
    StatisticsError,
    Tally,
    backend_prefix,
    free_slots,
    parse,
    parse_observed,
    parse_pid,
    view,
)
from slipway.rollout.loop import Conflict, Unavailable
from slipway.rollout.observation import Annotation, Rollout, RouterView, SetPreview, SetWeights
from slipway.rollout.status import Colour

PREVIEW_SUFFIX: Final = "-preview"
NOTHING_YET: Final = Annotation(weights=None, initial=0, writer="", ours=True, fence=0, version="1")
ANSWERS_WITHIN: Final = 2.0
"""Seconds a router has to answer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the routers and the weight objects say.

    Attributes:
        annotation: the live weights as asked for; None when the Service does not exist.
        preview: the same of the preview; None when there is no preview.
        routers: each Ready router's own word; None for one that did not answer.
        free_slots: the smallest number of unused server slots; None when unknown.
    """

    annotation: Annotation | None
    preview: Annotation | None
    routers: Mapping[str, RouterView | None]
    free_slots: int | None = None


class Router(Protocol):
    """Moves the requests of a service between its colours, and says where they go."""

    async def read(self, rollout: Rollout, colours: Mapping[str, Colour]) -> Reading:
        """Return what is asked for and what every router holds.

        Args:
            rollout: whose service.
            colours: address of each of its pods -> colour.
        """
        ...

    async def shift(self, rollout: Rollout, action: SetWeights) -> None:
        """Ask for weights.

        Raises:
            Conflict: the object changed since it was read.
        """
        ...

    async def show(self, rollout: Rollout, action: SetPreview) -> None:
        """Point the preview at one colour.

        Raises:
            Conflict: the object changed since it was read.
        """
        ...


@dataclass
class MemoryRouter:
    """A router without a cluster, for tests: it holds what it is told at once."""

    annotation: Annotation = NOTHING_YET
    preview: Annotation = NOTHING_YET
    shown: Colour | None = None
    names: tuple[str, ...] = ("memory",)

    async def read(self, rollout: Rollout, colours: Mapping[str, Colour]) -> Reading:
        """Return what was told last; every server of a colour weighs the same."""
        del rollout
        counts = {colour: sum(found is colour for found in colours.values()) for colour in Colour}
        blue, green = self.annotation.weights or (0, 0)
        shown = None if self.shown is None else preview_weights(self.shown)
        answer = RouterView("0/1", blue, green, counts[Colour.BLUE], counts[Colour.GREEN], preview=shown)
        return Reading(self.annotation, self.preview, dict.fromkeys(self.names, answer), 16)

    async def shift(self, rollout: Rollout, action: SetWeights) -> None:
        """Hold these weights from now on."""
        del rollout
        self.annotation = self._next(self.annotation, action.version, (action.blue, action.green), action.initial)

    async def show(self, rollout: Rollout, action: SetPreview) -> None:
        """Show this colour from now on."""
        del rollout
        self.preview = self._next(self.preview, action.version, preview_weights(action.colour), 0)
        self.shown = action.colour

    @staticmethod
    def _next(before: Annotation, version: str, weights: tuple[int, int], initial: int) -> Annotation:
        if version != before.version:
            raise Conflict(f"the weights have version {before.version}, not {version}")
        return Annotation(weights, initial, objects.MANAGER, True, 0, str(int(version) + 1))


@dataclass(frozen=True, slots=True)
class Statistics:
    """How to reach the statistics page of a HAProxy.

    Attributes:
        port: of the page.
        user: may read it.
        password: of the user.
        tls: how to trust it; None reads it without TLS, for tests.
        server_name: name in its certificate.
    """

    port: int = 1936
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    server_name: str = "haproxy-stats"


class Reader(Protocol):
    """Fetches what a HAProxy says of its servers."""

    async def read(self, address: str) -> tuple[str, tuple[Server, ...]]:
        """Return the process number and the servers of the HAProxy at an address.

        Raises:
            Unavailable: it did not answer, or not properly.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Observers:
    """How to reach the observers beside the HAProxies.

    Attributes:
        token_file: holds the token that readers give; read each time, as it may be changed in place.
        tls: how to trust them; None reads without TLS, for tests.
        port: of the observer.
        server_name: name in its certificate.
    """

    token_file: Path
    tls: ssl.SSLContext | None = None
    port: int = 9102
    server_name: str = "ingress-observer.ingress.svc"


class ObserverReader:
    """Asks the observers, which may look at their HAProxy and not change it."""

    def __init__(self, access: Observers) -> None:
        self._access = access
        self._http = httpx.AsyncClient(
            verify=access.tls if access.tls is not None else True, timeout=ANSWERS_WITHIN, trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def read(self, address: str) -> tuple[str, tuple[Server, ...]]:
        """Return the process number and the servers of the HAProxy at an address.

        Raises:
            Unavailable: its observer did not answer, or HAProxy did not answer the observer.
        """
        access = self._access
        scheme = "http" if access.tls is None else "https"
        host = f"[{address}]" if ":" in address else address
        extensions = {} if access.tls is None else {"sni_hostname": access.server_name}
        try:
            token = access.token_file.read_text(encoding="utf-8").strip()
            answer = await self._http.get(
                f"{scheme}://{host}:{access.port}/servers",
                headers={"Authorization": f"Bearer {token}"},
                extensions=extensions,
            )
            answer.raise_for_status()
            return parse_observed(answer.text)
        except (httpx.HTTPError, OSError, StatisticsError) as error:
            raise Unavailable(f"observer of {address}: {error or type(error).__name__}") from error


class StatisticsReader:
    """Fetches statistics pages; keeps the connections."""

    def __init__(self, access: Statistics) -> None:
        self._access = access
        self._http = httpx.AsyncClient(
            verify=access.tls if access.tls is not None else True,
            auth=(access.user, access.password) if access.user else None,
            timeout=ANSWERS_WITHIN,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def read(self, address: str) -> tuple[str, tuple[Server, ...]]:
        """Return the process number and the servers of the HAProxy at an address.

        Raises:
            Unavailable: it did not answer, or not with a statistics page.
        """
        try:
            servers = parse(await self._fetch(address, "/;csv"))
            return parse_pid(await self._fetch(address, "/?scope=none")), servers
        except (httpx.HTTPError, StatisticsError, ValueError) as error:
            raise Unavailable(f"statistics of {address}: {error or type(error).__name__}") from error

    async def _fetch(self, address: str, path: str) -> str:
        scheme = "http" if self._access.tls is None else "https"
        host = f"[{address}]" if ":" in address else address
        extensions = {} if self._access.tls is None else {"sni_hostname": self._access.server_name}
        answer = await self._http.get(f"{scheme}://{host}:{self._access.port}{path}", extensions=extensions)
        answer.raise_for_status()
        return answer.text


class HAProxyRouter:
    """Weights by annotations of the Service, read back from every Ready HAProxy pod, server by server.

    Args:
        api: the API server.
        reader: fetches what each HAProxy says.
        namespace: of the HAProxy pods.
        selector: their labels.
    """

    def __init__(self, api: Api, reader: Reader, *, namespace: str, selector: str) -> None:
        self._api = api
        self._reader = reader
        self._pods = path_of(CORE, namespace, "pods")
        self._selector = selector
        self.tallies: dict[tuple[str, str], Tally] = {}

    def _service(self, rollout: Rollout, suffix: str = "") -> str:
        return path_of(CORE, rollout.namespace, "services", rollout.spec.service + suffix)

    async def read(self, rollout: Rollout, colours: Mapping[str, Colour]) -> Reading:
        """Read the Services, then the routers: a Service changed later makes an action on this reading a conflict."""
        live, shown, pods = await asyncio.gather(
            self._api.get(self._service(rollout)),
            self._api.get(self._service(rollout, PREVIEW_SUFFIX)),
            self._api.list(self._pods, self._selector),
        )
        ready = [pod for pod in pods if objects.is_ready(pod) and pod["status"].get("podIP")]
        answers = await asyncio.gather(*(self._ask(pod) for pod in ready))
        prefixes = (
            backend_prefix(rollout.namespace, rollout.spec.service),
            backend_prefix(rollout.namespace, rollout.spec.service + PREVIEW_SUFFIX),
        )
        tally = self.tallies.setdefault((rollout.namespace, rollout.name), Tally())
        routers: dict[str, RouterView | None] = {}
        slots: list[int] = []
        for pod, answer in zip(ready, answers, strict=True):
            name = pod["metadata"]["name"]
            if answer is None:
                routers[name] = None
                continue
            pid, servers = answer
            process = f"{objects.restarts(pod)}/{pid}"
            routers[name] = view(servers, process=process, live=prefixes[0], preview=prefixes[1], colours=colours)
            slots.append(free_slots(servers, prefixes[0]))
            tally.add(name, process, servers, prefixes[0], colours)
        return Reading(
            annotation=None if live is None else objects.annotation_of(live),
            preview=None if shown is None else objects.annotation_of(shown),
            routers=routers,
            free_slots=min(slots, default=None),
        )

    async def _ask(self, pod: Mapping[str, object]) -> tuple[str, tuple[Server, ...]] | None:
        status = pod["status"]
        if not isinstance(status, Mapping):
            return None
        try:
            return await self._reader.read(str(status["podIP"]))
        except Unavailable:
            return None

    async def shift(self, rollout: Rollout, action: SetWeights) -> None:
        """Annotate the live Service."""
        await self._annotate(
            rollout,
            rollout.spec.service,
            action.version,
            {
                objects.BALANCE: objects.balance(action.blue, action.green),
                objects.INITIAL: str(action.initial),
                objects.FENCE: str(action.fence),
            },
        )

    async def show(self, rollout: Rollout, action: SetPreview) -> None:
        """Annotate the preview Service."""
        await self._annotate(
            rollout,
            rollout.spec.service + PREVIEW_SUFFIX,
            action.version,
            {objects.BALANCE: objects.balance(*preview_weights(action.colour)), objects.FENCE: str(action.fence)},
        )

    async def _annotate(self, rollout: Rollout, name: str, version: str, annotations: Mapping[str, str]) -> None:
        await self._api.apply(
            path_of(CORE, rollout.namespace, "services", name),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": name,
                    "namespace": rollout.namespace,
                    "resourceVersion": version,
                    "annotations": dict(annotations),
                },
            },
        )
