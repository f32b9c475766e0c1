import asyncio
import contextlib
import json
import ssl
import stat
import sys
import textwrap
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "payload.dev.slipway.test"


def _certificate(subject, issuer, public, signer, *, authority):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        names = [x509.DNSName(HOST), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Tls:
    """A CA of its own, a server certificate by it, and another CA that signed nothing here."""

    def __init__(self, folder):
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        other = ec.generate_private_key(ec.SECP256R1())
        self.ca, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        self.chain, self.key = folder / "server.pem", folder / "server.key"
        self.ca.write_bytes(_pem(_certificate("ca", "ca", ca_key.public_key(), ca_key, authority=True)))
        self.stranger.write_bytes(_pem(_certificate("no", "no", other.public_key(), other, authority=True)))
        self.chain.write_bytes(_pem(_certificate(HOST, "ca", key.public_key(), ca_key, authority=False)))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


class Asked(NamedTuple):
    method: str
    path: str
    number: int  # of the request on its connection, from 1


def _no_fault(_asked):
    return None


class UsersServer:
    """A keep-alive /v1/users and /v1/exports in memory on loopback that can be told to misbehave.

    `fault(asked)` is asked for each request of a connection and answers None, a status, "garbage",
    "hang up" or a number of seconds (float) to wait. With `names_connections` each answer says over which it came, as
    our ingress does; `closes_after` requests a connection is closed with notice. An export takes `exporting` seconds,
    and its file lacks `lost` rows.
    """

    def __init__(self, context=None):
        self.fault = _no_fault
        self.names_connections = False
        self.colour = self.version = None
        self.closes_after = None
        self.exporting = 0.3
        self.lost = 0
        self.exports = {}
        self.requests = []
        self.users = {}
        self.keys = {}
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._connections = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self):
        return f"{'https' if self._context else 'http'}://{HOST}:{self.port}"

    def _run(self):
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self):
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._context, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            with contextlib.suppress(
                asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError
            ):
                number = 0
                while True:
                    number += 1
                    if not await self._answer(reader, writer, number):
                        break
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, reader, writer, number):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((method, path, headers))
        fault = self.fault(Asked(method, path, number))
        if fault == "hang up":
            return False
        if isinstance(fault, float):
            await asyncio.sleep(fault)
        status, value, extra = self._do(method, path, headers, body)
        if isinstance(fault, int) and not isinstance(fault, bool):
            status, value, extra = fault, {"status": fault}, {"Retry-After": "1"} if fault == 503 else {}
        elif fault == "garbage":
            value = {"data": {"id": "x", "name": "x", "email": "someone@else.test"}, "meta": {"request_id": "r"}}
        text = value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
        kind = "application/problem+json" if status >= 400 else "application/json"
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", *(f"{k}: {v}" for k, v in extra.items())]
        if self.colour:
            lines.append(f"X-Slipway-Colour: {self.colour}")
        if self.version:
            lines.append(f"X-Slipway-Version: {self.version}")
        if self.names_connections:
            lines.append(f"Slipway-Connection: {writer.get_extra_info('peername')[1]}")
        last = number == self.closes_after
        if last:
            lines.append("Connection: close")
        if status != 204:
            lines.append(f"Content-Length: {len(text)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text)
        await writer.drain()
        return not last

    def _do(self, method, path, headers, body):
        key = headers.get("idempotency-key")
        if key and key in self.keys:
            return self.keys[key]
        exports = path.startswith("/v1/exports")
        answer = self._export(method, path) if exports else self._effect(method, path, body)
        if key:
            self.keys[key] = answer
        return answer

    def _effect(self, method, path, body):
        meta = {"request_id": "r"}
        if path.startswith("/v1/users?") or (path == "/v1/users" and method == "GET"):
            return 200, {"data": list(self.users.values())[-20:], "meta": meta}, {}
        if path == "/v1/users":
            wanted = json.loads(body)
            if not wanted.get("name") or not wanted.get("email"):
                return 422, {"status": 422}, {}
            identity = str(uuid.uuid4())
            self.users[identity] = {"id": identity, "name": wanted["name"], "email": wanted["email"]}
            return 201, {"data": self.users[identity], "meta": meta}, {"Location": f"/v1/users/{identity}"}
        identity = path.rsplit("/", 1)[1]
        if identity not in self.users:
            return 404, {"status": 404}, {}
        if method == "DELETE":
            del self.users[identity]
            return 204, None, {}
        if method in {"PUT", "PATCH"}:
            self.users[identity].update(json.loads(body))
        return 200, {"data": dict(self.users[identity]), "meta": meta}, {}

    def _export(self, method, path):
        again = {"Retry-After": "1"}
        if method == "POST":
            identity = str(uuid.uuid4())
            self.exports[identity] = time.monotonic()
            state = {"id": identity, "state": "waiting"}
            return 202, {"data": state}, {"Location": f"/v1/exports/{identity}", **again}
        identity = path.split("/")[3]
        done = time.monotonic() - self.exports[identity] >= self.exporting
        if path.endswith("/content"):
            assert done, "fetched before it was done"
            rows = list(self.users.values())[self.lost :]
            return 200, b"".join(json.dumps(row).encode() + b"\n" for row in rows), {}
        links = {"content": f"{path}/content" if done else None}
        state = {"id": identity, "state": "done" if done else "waiting", "rows": len(self.users), "links": links}
        return 200, {"data": state}, {} if done else again


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.chain, tls.key)
    with UsersServer(context) as running:
        yield running


@pytest.fixture
def plain_server():
    with UsersServer() as running:
        yield running


FAKE = """
import json, os, signal, sys, time
if sys.argv[1:] == ["version"]:
    print({version!r})
    raise SystemExit(0)
assert sys.argv[1] == "run", sys.argv
stream = sys.argv[sys.argv.index("--out") + 1].removeprefix("csv=")
def summary(seconds=2, **counts):
    good = dict(slipway_started=100, slipway_requests=100, slipway_uncached_reads=50, slipway_keyed_writes=30)
    counts = good | counts
    metrics = {{k: {{"type": "counter", "values": {{"count": v}}, "thresholds": {{}}}} for k, v in counts.items()}}
    metrics["slipway_ms"] = {{"type": "trend", "thresholds": {{}},
        "values": {{"med": 1.0, "p(95)": 2.0, "p(99)": 3.0, "max": 9.0, "count": counts["slipway_requests"]}}}}
    with open(os.environ["SLIPWAY_SUMMARY"], "w") as f:
        milliseconds = seconds * 1000
        json.dump({{"schema": 1, "run": "r", "milliseconds": milliseconds, "metrics": metrics}}, f)
def emit(*lines):
    with open(stream, "w") as f:
        f.write("metric_name,timestamp,metric_value,scenario,extra_tags,metadata\\n")
        for line in lines:
            f.write(line + "\\n")
{body}
"""


@pytest.fixture
def fake_k6(tmp_path):
    """Makes an executable that answers as k6 does; `body` is what it does as `k6 run`."""

    def make(body, version="k6 v1.1.0 (commit/0e3fb953be, go1.24.4, linux/amd64)"):
        path = tmp_path / f"k6-{uuid.uuid4().hex[:8]}"
        path.write_text(f"#!{sys.executable}\n" + FAKE.format(version=version, body=textwrap.dedent(body)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make
