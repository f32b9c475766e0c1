"""The controller process: finds the Rollouts, runs a loop for each, and shows how it is.

Two of these run; the Lease lets one act. A watch only wakes the loops earlier: nothing depends on an event arriving.
"""

import asyncio
import contextlib
import logging
import signal
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from slipway.rollout import deployments
from slipway.rollout.api import ROLLOUTS, Api, Refused, connect
from slipway.rollout.autoscale import Autoscalers
from slipway.rollout.cluster import ClusterPorts, World
from slipway.rollout.lease import Leadership
from slipway.rollout.loop import BUSY, Unavailable, turn
from slipway.rollout.measure import Prometheus
from slipway.rollout.observation import Wait, Write
from slipway.rollout.routers import (
    HAProxyRouter,
    ObserverReader,
    Observers,
    Reader,
    Statistics,
    StatisticsReader,
)
from slipway.rollout.status import Phase
from slipway.rollout.telemetry import Endpoint, Telemetry, log_as_json

LOG: Final = logging.getLogger(__name__)
WATCH: Final = 60
"""Seconds that one watch lasts."""
SHORTEST: Final = 0.02
"""Seconds between two turns, at least."""
OBSERVER_PORT: Final = 9102
STATISTICS_PORT: Final = 1936
FRESH: Final = 30.0
"""Seconds without any finished turn or election after which the process does not count as alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the controller is run; every value comes from a flag of `python -m slipway.rollout`."""

    namespace: str = "slipway-system"
    identity: str = field(default_factory=lambda: f"controller-{uuid.uuid4().hex[:8]}")
    kubeconfig: str | None = None
    prometheus: str | None = None
    prometheus_url_file: Path | None = None
    haproxy_namespace: str = "ingress"
    haproxy_selector: str = "app.kubernetes.io/name=haproxy"
    reader: str = "observer"
    reader_port: int = 0
    reader_user: str = ""
    reader_secret_file: Path | None = None
    reader_ca_file: Path | None = None
    reader_server_name: str = "ingress-observer.ingress.svc"
    metrics_port: int = 9090
    log_level: str = "INFO"


class Controller:
    """All rollouts of a cluster.

    Args:
        world: what they share.
        telemetry: where numbers go.
    """

    def __init__(self, world: World, telemetry: Telemetry) -> None:
        self._world = world
        self._telemetry = telemetry
        self._loops: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._wake: dict[tuple[str, str], asyncio.Event] = {}
        self._last_sign = time.monotonic()

    def alive(self) -> bool:
        """Return whether the process still gets anywhere; not whether the cluster does."""
        return time.monotonic() - self._last_sign < FRESH

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; then finish the turns that are under way, and give up the Lease."""
        watcher = asyncio.create_task(self._watch())
        elector = asyncio.create_task(self._elect())
        await stop.wait()
        for task in (watcher, elector, *self._loops.values()):
            task.cancel()
        await asyncio.gather(watcher, elector, *self._loops.values(), return_exceptions=True)
        with contextlib.suppress(Unavailable, Refused):
            await self._world.leadership.release()

    async def _elect(self) -> None:
        """Take part in the election even while there is no rollout."""
        while True:
            try:
                leads = await self._world.leadership.acquire()
                self._telemetry.leading.set(leads is not None)
            except (Unavailable, Refused) as error:
                self._telemetry.leading.set(0)
                LOG.warning("no election", extra={"error.message": str(error)})
            self._last_sign = time.monotonic()
            await asyncio.sleep(2 * BUSY)

    async def _watch(self) -> None:
        while True:
            try:
                await self._list()
                async for event in self._world.api.watch(f"{ROLLOUTS}/rollouts", WATCH):
                    metadata = event["object"].get("metadata", {})
                    if event["type"] == "ERROR" or "namespace" not in metadata:
                        break
                    self._noticed(metadata["namespace"], metadata["name"], gone=event["type"] == "DELETED")
            except (Unavailable, Refused) as error:
                LOG.warning("the watch broke", extra={"error.message": str(error)})
            await asyncio.sleep(BUSY)

    async def _list(self) -> None:
        found = await self._world.api.list(f"{ROLLOUTS}/rollouts")
        present = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found}
        for key in present:
            self._noticed(*key, gone=False)
        for key in set(self._loops) - present:
            self._noticed(*key, gone=True)

    def _noticed(self, namespace: str, name: str, *, gone: bool) -> None:
        key = (namespace, name)
        if gone:
            task = self._loops.pop(key, None)
            self._wake.pop(key, None)
            if task is not None:
                task.cancel()
                self._telemetry.tallies.pop(key, None)
            return
        if key not in self._loops:
            self._wake[key] = asyncio.Event()
            self._loops[key] = asyncio.create_task(self._loop(key))
        self._wake[key].set()

    async def _loop(self, key: tuple[str, str]) -> None:
        ports, autoscalers = ClusterPorts(self._world, *key), Autoscalers(self._world.api, *key)
        while True:
            self._wake[key].clear()
            again = await self._turn(ports, autoscalers)
            self._last_sign = time.monotonic()
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the wake-up, and a
            # controller that is told to stop would wait for this loop for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(SHORTEST, again)):
                    await self._wake[key].wait()

    async def _turn(self, ports: ClusterPorts, autoscalers: Autoscalers) -> float:
        labels = (ports.namespace, ports.name)
        try:
            done = await turn(ports)
            if isinstance(done.decision, Wait) and ports.last is not None:
                # Everything else is as the status says; only who leads gets here.
                await autoscalers.keep(ports.last)
        except Unavailable as error:
            self._telemetry.turns.labels(*labels, "unavailable").inc()
            LOG.warning("no answer", extra={"rollout": ports.name, "error.message": str(error)})
            return BUSY / 2
        except (Refused, ValidationError) as error:
            self._telemetry.turns.labels(*labels, "refused").inc()
            LOG.error("refused", extra={"rollout": ports.name, "error.message": str(error)})  # noqa: TRY400 - no bug of ours
            return 5 * BUSY
        except Exception:
            self._telemetry.turns.labels(*labels, "error").inc()
            LOG.exception("a turn failed", extra={"rollout": ports.name})
            return 5 * BUSY
        outcome = "idle" if done.decision is None else type(done.decision).__name__.lower()
        self._telemetry.turns.labels(*labels, outcome).inc()
        if ports.last is not None and done.decision is not None:
            self._telemetry.tell(ports.last)
            if isinstance(done.decision, Write):
                self._ended(ports, done.decision)
        return done.again

    def _ended(self, ports: ClusterPorts, written: Write) -> None:
        before, after = ports.last, written.status
        if before is None or before.status.phase is after.phase:
            return
        if after.phase in {Phase.PROMOTED, Phase.ROLLED_BACK}:
            result = after.phase.value
            self._telemetry.ended.labels(ports.namespace, ports.name, result, after.reason.value).inc()
        deployment = deployments.ended(before, after)
        if deployment is not None:
            self._telemetry.deployed(ports.namespace, ports.name, deployment)
            LOG.info("deployment ended", extra=deployments.fields(ports.namespace, ports.name, deployment))


def reader_of(settings: Settings) -> Reader:
    """Return how the HAProxies are asked.

    Raises:
        ValueError: the settings name no such way, or an observer without a token.
    """
    ca, secret = settings.reader_ca_file, settings.reader_secret_file
    tls = None if ca is None else ssl.create_default_context(cafile=str(ca))
    name = settings.reader_server_name
    if settings.reader == "observer":
        if secret is None:
            raise ValueError("the reader 'observer' needs --reader-secret-file, the file with its token")
        return ObserverReader(Observers(secret, tls, settings.reader_port or OBSERVER_PORT, name))
    if settings.reader == "statistics":
        password = "" if secret is None else secret.read_text(encoding="utf-8").strip()
        port = settings.reader_port or STATISTICS_PORT
        return StatisticsReader(Statistics(port, settings.reader_user, password, tls, name))
    raise ValueError(f"--reader {settings.reader!r} is not known: write observer or statistics")


def prometheus_of(settings: Settings) -> Prometheus | None:
    """Return who is asked for numbers, if anybody.

    Raises:
        ValueError: the file with its address holds none.
    """
    if settings.prometheus:
        return Prometheus(settings.prometheus)
    if settings.prometheus_url_file is None:
        return None
    file = settings.prometheus_url_file
    address = file.read_text(encoding="utf-8").strip()
    if not address.startswith(("http://", "https://")):
        raise ValueError(
            f"{file} must hold the address of a Prometheus, such as https://metrics.example: "
            "mend the key `url` of its Secret"
        )
    token, ca = file.with_name("token"), file.with_name("ca.crt")
    return Prometheus(address, token=token if token.exists() else None, ca=ca if ca.exists() else None)


async def serve(settings: Settings, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run the controller until SIGTERM or SIGINT."""
    log_as_json(settings.log_level)
    telemetry = Telemetry()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reader = reader_of(settings)
    prometheus = prometheus_of(settings)
    async with Api(connect(settings.kubeconfig)) as api:
        router = HAProxyRouter(api, reader, namespace=settings.haproxy_namespace, selector=settings.haproxy_selector)
        telemetry.tallies = router.tallies
        world = World(
            api=api,
            leadership=Leadership(api, settings.namespace, settings.identity, time.monotonic),
            router=router,
            prometheus=prometheus,
            identity=settings.identity,
            tallies=router.tallies,
        )
        controller = Controller(world, telemetry)
        endpoint = Endpoint(settings.metrics_port, telemetry.registry, controller.alive)
        endpoint.start()
        on_ready()
        LOG.info("started", extra={"identity": settings.identity})
        await controller.run(stop)
        endpoint.stop()
    await reader.close()
    if prometheus is not None:
        await prometheus.close()
    LOG.info("stopped")
