"""Spans reach a real receiver over HTTP; one that hangs, dies or refuses costs spans and never a request."""

import gzip
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from ports import free_port
from prometheus_client import CollectorRegistry
from redis import Redis

from app.core.tracing import _EXPORT_SECONDS
from app.worker.loop import Worker

ROOT = Path(__file__).parents[3]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


class Receiver(ThreadingHTTPServer):
    """Takes spans as a collector does, or behaves badly."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Exchange)
        self.behaviour = "takes"
        self.spans = []
        self.asked = threading.Event()
        self.release = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    def of(self, name):
        return [span for span in self.spans if span["name"] == name]


class Exchange(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        if self.server.behaviour == "hangs":
            self.server.release.wait()
            return
        if self.server.behaviour == "dies":
            self.connection.close()
            return
        if self.server.behaviour == "takes":
            self.server.spans.extend(spans_in(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))
        self.send_response(200 if self.server.behaviour == "takes" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Quiet."""


def spans_in(body):
    def values(attributes):
        return {one.key: one.value.string_value or one.value.int_value for one in attributes}

    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                yield {
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "failed": span.status.code == 2,
                    **values(group.resource.attributes),
                    **values(span.attributes),
                }


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


def traced(receiver, **values):
    return {"SLIPWAY_TRACES_ENDPOINT": receiver.url, "SLIPWAY_DRAIN_SECONDS": "0", **values}


def stop(running):
    running.process.send_signal(signal.SIGTERM)
    return running.output()


def test_a_request_is_a_span_with_its_statements_and_the_log_line_names_it(serve, receiver, redis_server, tmp_path):
    redis = tmp_path / "redis-url"
    redis.write_text(redis_server.url)
    with serve(**traced(receiver, SLIPWAY_CACHE_URL_FILE=str(redis))) as running:
        headers = {**running.key, "traceparent": PARENT, "X-Request-ID": "r-1"}
        body = {"name": "Ann", "email": "ann@example.test"}
        made = httpx.post(f"{running.api}/v1/users", json=body, headers=headers)
        httpx.get(f"{running.api}{made.headers['Location']}", headers=headers)
        lines = stop(running)
    (span,) = receiver.of("POST /v1/users")  # flushed at the end: nothing was waited for
    assert (span["trace"], span["parent"], span["failed"]) == (TRACE, "00f067aa0ba902b7", False)
    assert (span["http.response.status_code"], span["http.request.id"]) == (201, "r-1")
    assert (span["service.version"], span["slipway.colour"]) == ("9.9.9", "green")
    statements = [one for one in receiver.spans if one.get("db.system.name") == "postgresql"]
    assert {one["name"] for one in statements if one["parent"] == span["id"]} == {"WITH", "COMMIT"}
    assert "ann@example.test" not in json.dumps(receiver.spans)
    (read,) = receiver.of("GET /v1/users/<uuid:row_id>")
    assert {one["parent"] for one in receiver.of("redis cache")} >= {read["id"]}
    access = [line for line in lines if line["message"] == "request" and line.get("http.request.id") == "r-1"]
    assert [(line["trace.id"], line["span.id"]) for line in access] == [(TRACE, span["id"]), (TRACE, read["id"])]


def test_whoever_began_the_trace_has_decided_else_the_ratio_does(serve, receiver):
    with serve(**traced(receiver, SLIPWAY_TRACES_RATIO="0")) as running:
        for parent in ({}, {"traceparent": UNSAMPLED}, {"traceparent": PARENT}):
            httpx.get(f"{running.api}/version", headers=parent)
        lines = stop(running)
    assert [span["trace"] for span in receiver.of("GET /version")] == [TRACE]
    told = [line["trace.id"] for line in lines if line.get("url.path") == "/version"]
    assert told[1:] == [TRACE, TRACE]
    assert len(told[0]) == 32


def test_every_worker_sends_after_the_fork(serve, receiver):
    with serve(**traced(receiver, SLIPWAY_WORKERS="2", SLIPWAY_TRACES_RATIO="1")) as running:
        processes = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        while len({span["service.instance.id"] for span in receiver.of("GET /version")}) < 2:
            with httpx.Client() as client:  # a new connection may reach the other one
                client.get(f"{running.api}/version")
        children = processes.read_text().split()
        names = {span["service.instance.id"].rpartition("-")[2] for span in receiver.of("GET /version")}
        assert names <= set(children)


def test_what_fails_is_told_and_probes_are_not_traced(serve, receiver):
    faults = {"SLIPWAY_FAULTS_ALLOWED": "true", "SLIPWAY_FAULTS": '{"error_rate": 1}'}
    with serve(**traced(receiver, SLIPWAY_TRACES_RATIO="1", **faults)) as running:
        httpx.get(f"{running.api}/v1/users", headers=running.key)
        httpx.get(f"{running.api}/livez")
        stop(running)
    assert [(span["name"], span["failed"]) for span in receiver.spans] == [("GET /v1/users", True)]


def waits(client):
    """Seconds that each of many requests took."""
    found = []
    for _ in range(300):
        began = time.monotonic()
        assert client.get("/version").status_code == 200
        found.append(time.monotonic() - began)
    return found


@pytest.mark.parametrize("behaviour", ["hangs", "dies", "refuses"])
def test_a_receiver_that_behaves_badly_costs_no_request(serve, receiver, behaviour):
    with serve(**traced(receiver, SLIPWAY_TRACES_RATIO="1")) as running, httpx.Client(base_url=running.api) as client:
        usual = waits(client)
        assert receiver.asked.wait(timeout=30)
        receiver.behaviour = behaviour
        receiver.asked.clear()
        client.get("/version")
        assert receiver.asked.wait(timeout=30)
        found = waits(client)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0
        assert time.monotonic() - began < 15  # the flush has an end
    assert statistics.median(found) < 3 * statistics.median(usual)
    assert max(found) < _EXPORT_SECONDS  # what one that waited for it would take


def test_a_receiver_that_is_not_there_costs_no_request(serve):
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    with serve(SLIPWAY_TRACES_ENDPOINT=endpoint, SLIPWAY_TRACES_RATIO="1", SLIPWAY_DRAIN_SECONDS="0") as running:
        assert {httpx.get(f"{running.api}/version").status_code for _ in range(50)} == {200}
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0


@pytest.fixture
def worker_environment(settings, receiver, redis_server, tmp_path):
    redis = tmp_path / "redis-url"
    redis.write_text(redis_server.url)
    return {
        "PATH": os.environ["PATH"],
        "SLIPWAY_DATABASE_URL_FILE": str(settings.database_url_file),
        "SLIPWAY_REDIS_URL_FILE": str(redis),
        "SLIPWAY_METRICS_PORT": str(free_port()),
        "SLIPWAY_TRACES_ENDPOINT": receiver.url,
    }


def test_a_worker_goes_on_in_the_trace_of_the_request(serve, receiver, worker_environment):
    with serve(**traced(receiver)) as running:
        headers = {**running.key, "traceparent": PARENT}
        body = {"name": "Ann", "email": "ann@example.test"}
        assert httpx.post(f"{running.api}/v1/users", json=body, headers=headers).status_code == 201
        stop(running)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.work"], cwd=ROOT, env=worker_environment, stdout=subprocess.PIPE, text=True
    )
    try:
        until = datetime.now(UTC) + timedelta(seconds=60)
        while not receiver.of("process user.created"):
            assert datetime.now(UTC) < until
            assert process.poll() is None
            time.sleep(0.05)  # another process works; nothing depends on how long it is
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    (request,), (publish,), (consume,) = map(
        receiver.of, ("POST /v1/users", "publish user.created", "process user.created")
    )
    assert {span["trace"] for span in (request, publish, consume)} == {TRACE}
    assert (publish["parent"], consume["parent"]) == (request["id"], publish["id"])
    assert consume["slipway.outcome"] == "done"
    (line,) = [json.loads(text) for text in out.splitlines() if '"message":"message"' in text]
    assert (line["trace.id"], line["span.id"]) == (TRACE, consume["id"])


def test_a_message_of_a_version_without_traces_is_read(database, redis_server):
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
        options = {"database": database, "redis": redis, "stream": "s", "name": "n", "handlers": {}}
        worker = Worker(**options, may_consume=lambda: True, registry=CollectorRegistry())
        assert list(worker._arrived()) == []  # makes the group
        redis.xadd("s", {"message": json.dumps({"id": 1, "topic": "t", "payload": {}, "trace": "r"})})
        (message,) = worker._arrived()
    assert (message.trace, message.traceparent) == ("r", None)
