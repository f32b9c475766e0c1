"""The parts of a cluster that a lone API server lacks, played: nodes, the ingress controller; with a real HAProxy.

Pods are addresses of 127.1.0.0/16 that one small HTTP server answers on. The played ingress controller computes server
weights with `rebalance` (which is checked against the real one's results) and tells HAProxy through its own socket.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from ports import free_ports

from slipway.rollout import objects
from slipway.rollout.api import APPS, CORE, Api, path_of
from slipway.rollout.loop import Conflict, Unavailable
from slipway.rollout.objects import BALANCE, COLOUR, INITIAL, REVISION, ROLE, read_balance
from slipway.rollout.weights import rebalance

SLOTS = 12
CONFIG = """
global
    stats socket {folder}/admin.sock level admin mode 600
    maxconn 2000
    nbthread 1
userlist readers
    user slipway insecure-password secret
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 5s
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response response-timeout
listen stats
    bind 127.0.0.1:{statistics}
    stats enable
    stats uri /
    stats show-legends
    stats http-request auth unless {{ http_auth(readers) }}
frontend live
    bind 127.0.0.1:{live}
    default_backend dev_payload_http
backend dev_payload_http
    balance roundrobin
{slots}
backend dev_payload-preview_http
    balance roundrobin
{slots}
"""


class Handler(BaseHTTPRequestHandler):
    """Answers as the pod whose address was called."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served: Served = self.server.served  # pyright: ignore[reportAttributeAccessIssue] - set below
        address = self.connection.getsockname()[0]
        status = 500 if served.errors.get(address, False) else 200
        text = served.revisions.get(address, "nobody").encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
        del format, args


@dataclass
class Served:
    """What each address answers."""

    revisions: dict[str, str] = field(default_factory=dict)
    errors: dict[str, bool] = field(default_factory=dict)


class HAProxy:
    """A real HAProxy whose servers are slots, filled by its runtime API only."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            pytest.fail("haproxy is not installed: apt-get install haproxy")
        self.folder = folder
        self.live, self.statistics, self.application = free_ports(3)
        self.slots: dict[tuple[str, str], str] = {}
        slots = "\n".join(
            f"    server srv{number:03} 127.0.0.1:1023 disabled weight 1" for number in range(1, SLOTS + 1)
        )
        config = CONFIG.format(folder=folder, statistics=self.statistics, live=self.live, slots=slots)
        (folder / "haproxy.cfg").write_text(config)
        self.process = subprocess.Popen([program, "-db", "-f", str(folder / "haproxy.cfg")])

    async def up(self) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.ask("show info")
                return
            await asyncio.sleep(0.05)
        raise RuntimeError("haproxy did not come up")

    def ask(self, *commands: str) -> str:
        with socket.socket(socket.AF_UNIX) as found:
            found.settimeout(2)
            found.connect(str(self.folder / "admin.sock"))
            found.sendall(("; ".join(commands) + "\n").encode())
            parts: list[bytes] = []
            while part := found.recv(65536):
                parts.append(part)
        return b"".join(parts).decode()

    def sync(self, backend: str, servers: Mapping[str, int]) -> None:
        """Give each address a slot and its weight, and empty the slots of the others."""
        taken = {address: slot for (owner, slot), address in self.slots.items() if owner == backend}
        for address, slot in taken.items():
            if address not in servers:
                self.ask(f"set server {backend}/{slot} state maint")
                del self.slots[backend, slot]
        for address, weight in servers.items():
            slot = taken.get(address)
            if slot is None:
                names = (f"srv{number:03}" for number in range(1, SLOTS + 1))
                slot = next(name for name in names if (backend, name) not in self.slots)
                self.slots[backend, slot] = address
                self.ask(f"set server {backend}/{slot} addr {address} port {self.application}")
            self.ask(
                f"set server {backend}/{slot} weight {weight}",
                f"set server {backend}/{slot} state {'ready' if weight else 'drain'}",
            )

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


@dataclass
class Played:
    """The played rest of the cluster."""

    api: Api
    haproxy: HAProxy
    served: Served = field(default_factory=Served)
    bad_images: set[str] = field(default_factory=set)
    follow: bool = True
    made: int = 0
    task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Fail with what ended the playing, if anything has: without it the controller waits for ever."""
        if self.task is not None and self.task.done():
            self.task.result()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(Conflict, Unavailable):
                await self.nodes()
                if self.follow:
                    await self.ingress()
            await asyncio.sleep(0.1)

    async def nodes(self) -> None:
        """Make and take away pods as the Deployments ask."""
        pods = await self.api.list(path_of(CORE, "dev", "pods"))
        for deployment in await self.api.list(path_of(APPS, "dev", "deployments")):
            labels = deployment["spec"]["selector"]["matchLabels"]
            revision = deployment["spec"]["template"]["metadata"]["labels"][REVISION]
            own = [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]
            current = [pod for pod in own if pod["metadata"]["labels"][REVISION] == revision]
            wanted = deployment["spec"]["replicas"]
            for pod in [*current[wanted:], *(pod for pod in own if pod not in current)]:
                await self.remove(pod)
            for _ in range(wanted - len(current)):
                await self.add(deployment)

    async def add(self, deployment: Mapping[str, Any]) -> None:
        self.made += 1
        address = f"127.1.{self.made // 250}.{1 + self.made % 250}"
        template = deployment["spec"]["template"]
        image = template["spec"]["containers"][0]["image"]
        self.served.revisions[address] = template["metadata"]["labels"][REVISION]
        self.served.errors[address] = image in self.bad_images
        name = f"{deployment['metadata']['name']}-{self.made}"
        path = path_of(CORE, "dev", "pods")
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]}}
        await self.api.create(path, pod | {"spec": template["spec"]})
        await self.ready(path, name, address)

    async def ready(self, path: str, name: str, address: str) -> None:
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        status["conditions"] = [{"type": "Ready", "status": "True"}]
        await self.api.merge(f"{path}/{name}/status", {"status": status})

    async def remove(self, pod: Mapping[str, Any]) -> None:
        path = path_of(CORE, "dev", "pods", pod["metadata"]["name"])
        await self.api._written("DELETE", path, {"gracePeriodSeconds": 0})

    async def ingress(self) -> None:
        """Do as the ingress controller: annotation and ready pods in, server weights out."""
        pods = await self.api.list(path_of(CORE, "dev", "pods"))
        web = [pod for pod in pods if objects.is_ready(pod) and pod["metadata"]["labels"][ROLE] == objects.WEB]
        ready = {pod["status"]["podIP"]: pod["metadata"]["labels"][COLOUR] for pod in web}
        for name in ("payload", "payload-preview"):
            service = await self.api.get(path_of(CORE, "dev", "services", name))
            if service is None:  # not furnished yet
                continue
            annotations = service["metadata"].get("annotations", {})
            weights = read_balance(annotations.get(BALANCE, "")) or (100, 100)
            blue = [address for address, colour in ready.items() if colour == "blue"]
            green = [address for address, colour in ready.items() if colour == "green"]
            initial = int(annotations.get(INITIAL, "100"))
            servers = rebalance(((weights[0], len(blue)), (weights[1], len(green))), initial)
            both = dict.fromkeys(blue, servers[0]) | dict.fromkeys(green, servers[1])
            self.haproxy.sync(f"dev_{name}_http", both)


@dataclass
class Load:
    """Keep-alive clients that count what they get."""

    address: str
    good: int = 0
    failed: list[str] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    async def client(self, pause: float) -> None:
        async with httpx.AsyncClient(base_url=self.address, timeout=10, trust_env=False) as http:
            while True:
                try:
                    answer = await http.get("/")
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                else:
                    self.good += answer.status_code == 200
                    if answer.status_code != 200:
                        self.failed.append(f"{answer.status_code} from {answer.text}")
                    self.revisions[answer.text] = self.revisions.get(answer.text, 0) + 1
                await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def played(api: Api, folder: Path) -> AsyncIterator[Played]:
    """A namespace `dev` with the Services and the PodTemplate of a service, a HAProxy pod, and nodes."""
    haproxy = HAProxy(folder)
    found = Played(api, haproxy)
    server = ThreadingHTTPServer(("0.0.0.0", haproxy.application), Handler)  # noqa: S104 - each pod is a local address
    server.daemon_threads = True
    server.served = found.served  # pyright: ignore[reportAttributeAccessIssue] - read by Handler
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        await haproxy.up()
        found.task = asyncio.create_task(found.run())
        yield found
    finally:
        if found.task is not None:
            found.task.cancel()
            await asyncio.gather(found.task, return_exceptions=True)
        haproxy.close()
        server.shutdown()
        server.server_close()
        thread.join()


SERVICE: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "spec": {
        "selector": {"app.kubernetes.io/name": "payload"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    },
}
TEMPLATE: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "PodTemplate",
    "metadata": {"name": "payload"},
    "template": {
        "metadata": {"labels": {"app.kubernetes.io/name": "payload", "app.kubernetes.io/instance": "payload"}},
        "spec": {"containers": [{"name": "service", "image": "registry.test/app@sha256:" + "0" * 64}]},
    },
}
ROUTER_POD: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "haproxy-0", "labels": {"app.kubernetes.io/name": "haproxy"}},
    "spec": {"containers": [{"name": "haproxy", "image": "registry.test/haproxy"}]},
}


async def furnish(api: Api, found: Played) -> None:
    """Put everything a Rollout stands on into the cluster; harmless when it is there."""
    objects_of = (
        ("dev", "services", {**SERVICE, "metadata": {"name": "payload"}}),
        ("dev", "services", {**SERVICE, "metadata": {"name": "payload-preview"}}),
        ("dev", "podtemplates", TEMPLATE),
        ("dev", "podtemplates", {**TEMPLATE, "metadata": {"name": "payload-worker"}}),
        ("ingress", "pods", ROUTER_POD),
    )
    for namespace, plural, manifest in objects_of:
        with contextlib.suppress(Conflict):
            await api.create(path_of(CORE, namespace, plural), manifest)
    await found.ready(path_of(CORE, "ingress", "pods"), "haproxy-0", "127.0.0.1")
