"""The observer beside a real HAProxy: every request goes to the colour that answered it, and nothing can be changed."""

import contextlib
import http.client
import http.server
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from ports import free_port, free_ports

from infra.components import ingress_requests
from infra.components.ingress_observer import LOG_FORMAT
from infra.components.log_collector import operators
from slipway.logs.keeper import template
from slipway.node.pki import Leaf, ensure_ca, ensure_leaf
from slipway.toolchain import Toolchain

SERVERS = {"blue": "127.0.0.2", "green": "127.0.0.3", "late": "127.0.0.4"}
TOKEN = "reader-token"
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
IDENTIFIER = "4518942e31224218b9bc93edbe87e3f8"
TRACE = "0af7651916cd43dd8448eb211c80319c"
#: Of a request that the blue pod has answered, as HAProxy sends it.
LINE = b"dev_payload_http 127.0.0.2 200 -- 0 0 1 1 0 99 127.0.0.1 GET id - /"


class Answers(http.server.BaseHTTPRequestHandler):
    """A pod: the path says how it answers."""

    protocol_version = "HTTP/1.1"
    told: ClassVar[list] = []

    def do_GET(self):
        self.told.append(self.headers.get_all("X-Request-ID"))
        self.send_response(500 if self.path == "/bad" else 200)
        self.send_header("Content-Length", "100" if self.path == "/cut" else "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.close_connection = self.path == "/cut"

    def log_message(self, *_):
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients that leave are part of the test."""


def pod(name: str, ip: str, colour: str) -> dict:
    # One says its version, the other only what the rollout controller calls it.
    version = "app.kubernetes.io/version" if colour == "blue" else "slipway.dev/revision"
    labels = {"slipway.dev/colour": colour, version: f"v-{colour}"}
    return {
        "metadata": {"name": name, "namespace": "dev", "uid": name, "resourceVersion": "1", "labels": labels},
        "spec": {},
        "status": {"podIP": ip, "phase": "Running"},
    }


@dataclass
class World:
    """HAProxy with two pods of two colours and an empty slot, an API server that knows three pods, the observer."""

    folder: Path
    web: int
    observer: int
    pods: int
    logs: int
    processes: list[subprocess.Popen] = field(default_factory=list)

    def get(self, path: str) -> int:
        return self.answer(path).status

    def answer(self, path: str, *headers: tuple[str, str]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.web, timeout=10)
        connection.putrequest("GET", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        with contextlib.suppress(http.client.IncompleteRead):
            response.read()
        connection.close()
        return response

    def printed(self, count: int) -> list[dict]:
        """The lines that the observer has printed, as the collector takes them, once there are so many."""
        deadline = time.monotonic() + 20
        while len(lines := (self.folder / "printed").read_text().splitlines()) < count:
            assert time.monotonic() < deadline, f"{len(lines)} lines, not {count}"
            time.sleep(0.05)
        assert len(lines) == count
        return [collected(line) for line in lines]

    def ask(self, path: str, token: str | None = TOKEN) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        connection = http.client.HTTPSConnection("localhost", self.observer, timeout=10, context=context)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def series(self, name: str, **labels: str) -> float:
        """Sum over the series that have these labels."""
        total = 0.0
        for text in self.ask("/metrics")[1].splitlines():
            match = SAMPLE.fullmatch(text)
            if match and match[1] == name:
                own = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if labels.items() <= own.items():
                    total += float(match[3])
        return total

    def until(self, wanted: float, name: str, **labels: str) -> None:
        """Wait for a value: log lines take their way while the test goes on."""
        deadline = time.monotonic() + 20
        while (found := self.series(name, **labels)) != wanted:
            assert time.monotonic() < deadline, f"{name} {labels} is {found}, not {wanted}"
            time.sleep(0.05)

    def command(self, text: str, socket_name: str = "admin.sock") -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / socket_name))
            connection.sendall(f"{text}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def stop(self, index: int) -> None:
        self.processes[index].terminate()
        self.processes[index].wait(timeout=10)


def collected(line: str) -> dict:
    """A line as the collector's rules take it; only what they keep field by field passes."""
    (rule,) = [it for it in operators() if it["type"] == "json_parser"]
    assert rule["if"] == r'body startsWith "{" and body contains "\"ecs.version\""'
    assert line.startswith("{")
    assert '"ecs.version"' in line
    fields = json.loads(line)
    assert isinstance(fields["ecs.version"], str)
    assert not isinstance(fields["message"], dict)
    (moment,) = [it["if"] for it in operators() if it.get("field") == 'body["@timestamp"]' and "if" in it]
    pattern = re.search(r'"@timestamp"\] matches "(.*)"\)', moment)[1]
    assert re.search(re.sub(r"\\(.)", r"\1", pattern), fields["@timestamp"]), "the collector would put its own time"
    return fields


def haproxy_file(folder: Path, web: int, pods: int, logs: int) -> str:
    return f"""
global
    stats socket {folder}/admin.sock level admin mode 600
    stats socket {folder}/reader.sock level operator mode 600
    log 127.0.0.1:{logs} len 1024 format raw local0
defaults
    log global
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend _front_http
    bind 127.0.0.1:{web}
    log-format "{LOG_FORMAT}"
{ingress_requests.configuration()["config-frontend-early"]}
    use_backend dev_nobody_http if {{ path /nobody }}
    use_backend _error404 if {{ path /own }}
    default_backend dev_payload_http
backend dev_payload_http
    balance roundrobin
    server srv001 {SERVERS["blue"]}:{pods} weight 100
    server srv002 {SERVERS["green"]}:{pods} weight 100
    server srv003 127.0.0.1:1023 disabled weight 1
backend dev_nobody_http
    server srv001 127.0.0.1:1023 disabled weight 1
backend _error404
    http-request return status 404
"""


@pytest.fixture
def api_server() -> Iterator[int]:
    """Lists three pods, and never has news."""
    ending = threading.Event()

    class Pods(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if "watch=" in self.path:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                ending.wait(60)
                return
            items = [pod(f"pod-{it}", ip, "green" if it == "late" else it) for it, ip in SERVERS.items()]
            body = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            """Say nothing."""

    with Server(("127.0.0.1", 0), Pods) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        ending.set()
        server.shutdown()


@pytest.fixture
def pods_port() -> Iterator[int]:
    """A port on which every pod answers."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Server((SERVERS["blue"], 0), Answers))
        port = first.server_address[1]
        others = [stack.enter_context(Server((ip, port), Answers)) for it, ip in SERVERS.items() if it != "blue"]
        for server in (first, *others):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield port


@pytest.fixture(scope="session")
def program() -> Path:
    return Toolchain().ensure(["ingress-observer"])["ingress-observer"]


@pytest.fixture
def world(tmp_path, program, api_server, pods_port) -> Iterator[World]:
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert haproxy, "haproxy is not installed: run `slipway setup test`"
    web, observer = free_ports(2)
    [logs] = free_ports(1, socket.SOCK_DGRAM)
    ensure_ca(tmp_path, "ca", "test")
    ensure_leaf(tmp_path, Leaf("observer", "observer", hosts=("localhost",)))
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "haproxy.cfg").write_text(haproxy_file(tmp_path, web, pods_port, logs))
    made = World(tmp_path, web, observer, pods_port, logs)
    files = {
        "socket": "reader.sock",
        "tls-certificate": "observer.crt",
        "tls-key": "observer.key",
        "token-file": "token",
    }
    commands = (
        [
            str(program),
            f"--listen=127.0.0.1:{observer}",
            f"--logs=127.0.0.1:{logs}",
            f"--server=http://127.0.0.1:{api_server}",
            "--poll=50ms",
            *(f"--{name}={tmp_path / file}" for name, file in files.items()),
        ],
        [haproxy, "-f", str(tmp_path / "haproxy.cfg"), "-db"],
    )
    try:
        with (tmp_path / "errors").open("ab") as errors, (tmp_path / "printed").open("wb") as printed:
            for command in commands:
                made.processes.append(subprocess.Popen(command, stdout=printed, stderr=errors))
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                # Pods are known when both weights carry their colour.
                if made.series("slipway_ingress_server_weight", colour="green") == 100:
                    break
            assert time.monotonic() < deadline, (tmp_path / "errors").read_text()
            time.sleep(0.05)
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait()


def test_each_request_is_counted_for_the_colour_that_answered(world):
    assert [world.get("/") for _ in range(20)] == [200] * 20
    for colour in ("blue", "green"):
        world.until(10, "slipway_ingress_requests_total", colour=colour, outcome="ok", pod=f"pod-{colour}")
        world.until(10, "slipway_ingress_request_seconds_count", colour=colour, version=f"v-{colour}")
        world.until(10, "slipway_ingress_responses_total", colour=colour, code="200")
    labels = {"namespace": "dev", "service": "payload", "outcome": "failed"}
    assert world.series("slipway_ingress_requests_total", **labels) == 0


def test_what_counts_as_failed_is_what_the_project_calls_failed(world):
    assert world.command("set server dev_payload_http/srv001 weight 0") == "\n"
    assert world.get("/bad") == 500
    world.until(1, "slipway_ingress_requests_total", colour="green", outcome="failed")
    assert world.get("/cut") == 200, "the status is sent before the answer breaks off"
    world.until(2, "slipway_ingress_requests_total", colour="green", outcome="failed")
    assert world.get("/nobody") == 503
    world.until(1, "slipway_ingress_requests_total", service="nobody", colour="", outcome="failed")
    assert world.series("slipway_ingress_requests_total", colour="blue", outcome="failed") == 0


def test_a_slot_that_is_given_to_another_pod_takes_its_history_to_nobody(world):
    for _ in range(4):
        world.get("/")
    world.until(2, "slipway_ingress_requests_total", colour="blue", outcome="ok")
    # Exactly what the ingress controller does when a pod goes and another comes: the same slot, another address.
    world.command(f"set server dev_payload_http/srv001 addr {SERVERS['late']} port {world.pods}")
    for _ in range(4):
        world.get("/")
    world.until(2, "slipway_ingress_requests_total", pod="pod-late", colour="green", outcome="ok")
    world.until(4, "slipway_ingress_requests_total", pod="pod-green", outcome="ok")
    assert world.series("slipway_ingress_requests_total", colour="blue", outcome="ok") == 2


def test_attempts_that_fail_are_blamed_on_the_pod_that_was_tried(world):
    world.command("set server dev_payload_http/srv001 weight 0")
    world.command("set server dev_payload_http/srv002 addr 127.0.0.3 port 1023")
    assert world.get("/") == 503
    world.until(1, "slipway_ingress_requests_total", colour="green", outcome="failed")
    deadline = time.monotonic() + 20
    while not world.series("slipway_ingress_attempts_failed_total", pod="pod-green", kind="connection"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert world.series("slipway_ingress_attempts_failed_total", colour="blue") == 0


def test_weights_are_those_that_haproxy_holds(world):
    world.command("set server dev_payload_http/srv002 weight 7")
    view = json.loads(world.ask("/servers")[1])
    found = {it["slot"]: it for it in view["servers"] if it["service"] == "payload"}
    assert [(it["colour"], it["weight"]) for it in found.values()] == [("blue", 100), ("green", 7), ("", 0)]
    assert found["srv002"]["address"].startswith(f"{SERVERS['green']}:")
    assert found["srv002"]["pod"] == "pod-green"
    assert view["process"]["pid"] == world.processes[1].pid
    assert world.series("slipway_ingress_free_slots", service="payload") == 1


def test_who_reads_needs_the_token(world):
    for path in ("/metrics", "/servers"):
        assert world.ask(path, token=None)[0] == 401
        assert world.ask(path, token="guessed")[0] == 401
    (world.folder / "token").write_text("")
    assert world.ask("/servers", token="")[0] == 401, "an empty token opens nothing"
    assert world.ask("/healthz", token=None) == (200, "ok\n")


def test_its_socket_can_change_nothing(world):
    answer = world.command("set server dev_payload_http/srv001 weight 0", "reader.sock")
    assert "Permission denied" in answer
    assert world.series("slipway_ingress_server_weight", colour="blue") == 100


def test_a_haproxy_that_does_not_answer_has_no_weights(world):
    world.stop(1)
    assert world.ask("/servers")[0] == 503
    assert world.series("slipway_ingress_up") == 0
    assert "slipway_ingress_server_weight{" not in world.ask("/metrics")[1]


def test_haproxys_own_answers_are_nobodys(world):
    assert world.get("/own") == 404
    world.get("/")
    world.until(1, "slipway_ingress_responses_total", code="200")
    assert world.series("slipway_ingress_responses_total", code="404") == 0
    assert world.series("slipway_ingress_log_lines_unreadable_total") == 0


def test_a_certificate_that_is_renewed_in_place_is_shown_and_half_of_one_is_not(world):
    """Two files are never replaced in one moment: until they fit each other, the last pair serves."""

    def serial():
        context = ssl.create_default_context(cafile=world.folder / "ca.crt")
        with (
            socket.create_connection(("127.0.0.1", world.observer), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as secured,
        ):
            return secured.getpeercert()["serialNumber"]

    first = serial()
    (world.folder / "new").mkdir()
    for name in ("ca.crt", "ca.key"):
        shutil.copy(world.folder / name, world.folder / "new" / name)
    ensure_leaf(world.folder / "new", Leaf("observer", "observer", hosts=("localhost",)))
    shutil.copy(world.folder / "new/observer.crt", world.folder / "observer.crt")
    assert serial() == first
    shutil.copy(world.folder / "new/observer.key", world.folder / "observer.key")
    assert serial() != first
    (world.folder / "observer.crt").unlink()
    assert world.ask("/healthz")[0] == 200


def test_each_request_is_printed_with_its_identifier_and_who_answered(world):
    Answers.told.clear()
    world.command("set server dev_payload_http/srv001 weight 0")
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    answer = world.answer("/v1/users?name=secret", ("X-Request-ID", IDENTIFIER), ("traceparent", parent))
    assert answer.headers.get_all("X-Request-ID") == [IDENTIFIER]
    assert Answers.told == [[IDENTIFIER]]
    (line,) = world.printed(1)
    assert {
        "http.request.id": IDENTIFIER,
        "trace.id": TRACE,
        "event.dataset": "ingress.access",
        "event.outcome": "success",
        "log.level": "info",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.path": "/v1/users",
        "client.ip": "127.0.0.1",
        "labels.colour": "green",
        "labels.pod": "pod-green",
        "labels.version": "v-green",
        "haproxy.backend_name": "dev_payload_http",
    }.items() <= line.items()
    assert line["event.duration"] >= 0
    assert "secret" not in json.dumps(line), "what is asked for by query may be anybody's secret"
    asked = {"http.request.id", "trace.id", "event.dataset", "event.outcome", "labels.colour", "url.path"}
    assert asked <= template(0)["template"]["mappings"]["properties"].keys()


@pytest.mark.parametrize(
    "given",
    [(), ("a b",), ("x" * 65,), ('"},{"',), ("one,two",), ("good", "b\tad"), ("",)],
    ids=["none", "space", "long", "quotes", "list", "second is bad", "empty"],
)
def test_without_an_identifier_that_services_take_one_is_made_for_all(world, given):
    Answers.told.clear()
    answer = world.answer("/", *(("X-Request-ID", it) for it in given))
    (made,) = answer.headers.get_all("X-Request-ID")
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", made)
    assert made not in given
    assert Answers.told == [[made]]
    assert [it["http.request.id"] for it in world.printed(1)] == [made]


def test_haproxys_own_answers_and_what_it_cannot_read_are_printed_too(world):
    refused, failed = world.answer("/own", ("X-Request-ID", "own")), world.answer("/nobody", ("X-Request-ID", "none"))
    assert [it.headers["X-Request-ID"] for it in (refused, failed)] == ["own", "none"]
    with socket.create_connection(("127.0.0.1", world.web), timeout=10) as connection:
        connection.sendall(b"no request at all\r\n\r\n")
        assert b" 400 " in connection.recv(65536)
    # Threads of HAProxy tell of their requests in no order.
    by_status = {it["http.response.status_code"]: it for it in world.printed(3)}
    own, nobody, bad = by_status[404], by_status[failed.status], by_status[400]
    assert (own["http.request.id"], own["event.outcome"]) == ("own", "success")
    assert (nobody["http.request.id"], nobody["log.level"], nobody["event.outcome"]) == ("none", "error", "failure")
    assert "labels.pod" not in nobody
    assert not {"http.request.id", "http.request.method", "url.path"} & bad.keys()


@pytest.mark.parametrize("path", ["/" + "x" * 3000, "/" + "%00" * 300, "/%22%7D%7B%5C", "/a%20b"])
def test_no_path_breaks_a_line(world, path):
    assert world.answer(path, ("X-Request-ID", "path")).status == 200
    (line,) = world.printed(1)
    assert line["http.request.id"] == "path"
    assert path.startswith(line["url.path"])


def test_it_is_not_woken_for_each_line(world):
    """Beyond what it takes without lines in that time, it has fewer turns of a processor than there are lines."""
    count, pid = 1000, world.processes[0].pid
    idle = at_rest(pid)
    begun, before = time.monotonic(), turns(pid)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(count):
            out.sendto(LINE, ("127.0.0.1", world.logs))
            time.sleep(0.001)
    taken, seconds = turns(pid) - before, time.monotonic() - begun
    world.until(count, "slipway_ingress_requests_total", colour="blue", outcome="ok")
    assert len(world.printed(count)) == count
    assert taken - idle * seconds < count


def test_without_lines_it_rests(world):
    """It waits for the first one; twenty times a second is how often it looks where they come."""
    with another(world, "--poll=1h") as second:
        time.sleep(1)  # its start
        assert at_rest(second.processes[0].pid, seconds=4) < 100  # of some 15; where it looked all the time it was 330


def at_rest(pid: int, seconds: float = 1) -> float:
    """How often a process is given a processor in a second without lines."""
    before = turns(pid)
    time.sleep(seconds)
    return (turns(pid) - before) / seconds


def turns(pid: int) -> int:
    """How often a process was given a processor, all its threads."""
    told = "".join(it.read_text() for it in Path(f"/proc/{pid}/task").glob("*/status"))
    return sum(int(it) for it in re.findall(r"voluntary_ctxt_switches:\s+(\d+)", told))


def test_who_does_not_read_what_is_printed_does_not_stop_the_numbers(world):
    """Its output is emptied by nobody: counted is everything, printed what there is room for."""
    sent = 8000
    with another(world) as second, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for count in range(sent):
            out.sendto(LINE, ("127.0.0.1", second.logs))
            if count % 50 == 49:  # no faster than it reads: the socket's room is not what is tried here
                second.until(count + 1, "slipway_ingress_log_lines_total")
        second.until(sent, "slipway_ingress_requests_total", colour="blue", outcome="ok")
        assert 0 < second.series("slipway_ingress_log_lines_unprinted_total") < sent


@contextlib.contextmanager
def another(world: World, *options: str) -> Iterator[World]:
    """One more observer beside the same HAProxy, with a socket of its own for lines."""
    [lines] = free_ports(1, socket.SOCK_DGRAM)
    port = free_port()
    arguments = [it for it in world.processes[0].args if not it.startswith(("--logs=", "--listen="))]
    arguments += [f"--logs=127.0.0.1:{lines}", f"--listen=127.0.0.1:{port}", *options]
    observer = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        second = World(world.folder, world.web, port, world.pods, lines, [observer])
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                second.ask("/healthz")
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield second
    finally:
        observer.kill()
        observer.communicate()
