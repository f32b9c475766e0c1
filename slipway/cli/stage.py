"""A living service as the proof plays on it, on an embedded cluster."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, final

from infra import naming
from infra.components.ingress import CONTROLLER_METRICS_PORT
from infra.naming import Environment
from slipway.cli.following import Where, attached
from slipway.cli.unprotected import ROLLOUT_SECONDS
from slipway.proof.prove.stage import Follower
from slipway.rollout.client import Client
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout
from slipway.rollout.status import Colour
from slipway.rollout.story import Moment

#: A service's plain variables, from which the next version takes its faults.
_CONFIG: Final = f"{naming.SERVICE}-env"
_FAULTS: Final = ("SLIPWAY_FAULTS_ALLOWED", "SLIPWAY_FAULTS")
#: Tells a version from the one before with the same faults, which was refused and is not tried again.
_ATTEMPT: Final = "PROOF_ATTEMPT"
_EVERY: Final = 0.2
_STALE: Final = 5.0
_RELOADS: Final = 'haproxyingress_updates_total{status="full"}'

Result = TypeVar("Result")
Kubectl = Callable[..., str]


@final
class LiveStage:
    """Follows the Rollout in a thread of its own, over one connection, and passes on orders.

    Args:
        kubectl: as the administrator.
        kubeconfig: of the administrator.
        environment: whose service.
        images: two good ones.
    """

    def __init__(self, kubectl: Kubectl, kubeconfig: Path, environment: Environment, images: tuple[str, str]) -> None:
        self.images = images
        self._kubectl = kubectl
        self._namespace = f"--namespace={environment.value}"
        self._kubeconfig = kubeconfig
        self._environment = environment.value
        self._where = Where(environment.value, naming.SERVICE, kubeconfig)
        self._moments: list[Moment] = []
        self._answered = 0.0
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()), daemon=True, name="stage")

    def __enter__(self) -> Self:
        """Begin to follow."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following."""
        self._leaving.set()
        self._thread.join()

    def rollout(self) -> Rollout:
        """The object as it was seen last."""
        if not self._moments or time.monotonic() - self._answered > _STALE:
            raise Unavailable("the API server has not answered for some seconds")
        return self._moments[-1].rollout

    def record(self) -> Sequence[Moment]:
        """Every state from the present one on."""
        self._moments = self._moments[-1:]
        return self._moments

    def start(self, image: str) -> None:
        """Ask for an image."""
        self._ask(lambda client: client.start(image))

    def start_attached(self, image: str) -> Follower:
        """Ask for an image by the command line, which then follows it."""
        return subprocess.Popen(
            [sys.executable, "-m", "slipway", "rollout", "start", "--image", image, "--wait",
             f"--environment={self._environment}", f"--kubeconfig={self._kubeconfig}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ),
        )  # fmt: skip

    def abort(self) -> None:
        """Take back the version under test."""
        self._ask(lambda client: client.abort(reason="proof"))

    def rollback(self) -> None:
        """Take back the promoted version."""
        self._ask(lambda client: client.rollback(reason="proof"))

    def approve(self) -> None:
        """Open the gate that is waited for."""
        self._ask(lambda client: client.approve(reason="proof"))

    def spec(self) -> Mapping[str, Any]:
        """The spec as it stands, plain."""
        return json.loads(self._kubectl("get", "rollout", naming.SERVICE, self._namespace, "--output=json"))["spec"]

    def change(self, spec: Mapping[str, Any]) -> None:
        """Merge a change into the spec."""
        self._patch("rollout", naming.SERVICE, {"spec": dict(spec)})

    def misconfigure(self, faults: Mapping[str, object] | None) -> None:
        """Tell the next version to misbehave, one that was never tried; None takes that back."""
        names = (*_FAULTS, _ATTEMPT)
        values = (None,) * len(names) if faults is None else ("true", json.dumps(dict(faults)), str(uuid.uuid4()))
        self._patch("configmap", _CONFIG, {"data": dict(zip(names, values, strict=True))})

    def restart(self, colour: Colour) -> None:
        """Replace the pods of a colour one by one, and wait for the end."""
        deployment = f"deployment/{naming.SERVICE}-{colour.value}"
        self._kubectl("rollout", "restart", deployment, self._namespace)
        self._kubectl("rollout", "status", deployment, self._namespace, f"--timeout={ROLLOUT_SECONDS}s")

    def reloads(self) -> Mapping[str, float]:
        """Configurations that each router has loaded anew since it started, by pod."""
        return reloads(self._kubectl)

    def _patch(self, kind: str, name: str, change: Mapping[str, Any]) -> None:
        self._kubectl("patch", kind, name, self._namespace, "--type=merge", f"--patch={json.dumps(change)}")

    def _ask(self, order: Callable[[Client], Awaitable[object]]) -> None:
        async def go() -> None:
            async with attached(self._where) as (client, _api):
                await order(client)

        asyncio.run(go())

    async def _follow(self) -> None:
        async with attached(self._where) as (client, _api):
            version = ""
            while not self._leaving.is_set():
                try:
                    found = await client.status()
                except Unavailable:
                    await asyncio.sleep(_EVERY)
                    continue
                self._answered = time.monotonic()
                if found.version != version:
                    version = found.version
                    self._moments.append(Moment(time.time(), found))
                await asyncio.sleep(_EVERY)


def reloads(kubectl: Callable[..., str]) -> Mapping[str, float]:
    """Configurations that each HAProxy has loaded anew since it started, by pod."""
    namespace = naming.Namespace.INGRESS.value
    selector = f"--selector=app.kubernetes.io/name={naming.INGRESS}"
    found = json.loads(kubectl("get", "pods", f"--namespace={namespace}", selector, "--output=json"))
    counts: dict[str, float] = {}
    for pod in found["items"]:
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}:{CONTROLLER_METRICS_PORT}/proxy/metrics"
        for line in kubectl("get", "--raw", path).splitlines():
            if line.startswith(_RELOADS):
                counts[name] = float(line.split()[-1])
    return counts
