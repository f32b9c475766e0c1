"""The real process: it serves, drains on SIGTERM, loses nothing and exits with 0."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from http.client import HTTPResponse, parse_headers
from pathlib import Path

import httpx
import psycopg
import pytest
from ports import free_ports

ROOT = Path(__file__).parents[2]


def test_sigterm_fails_readiness_first_serves_on_finishes_and_exits_0(serve, wait_until, postgres, migrated):
    with serve(SLIPWAY_DRAIN_SECONDS="1.5") as running, postgres.admin(migrated) as admin:
        location = httpx.post(
            f"{running.api}/v1/users", json={"name": "Ann", "email": "a@example.test"}, headers=running.key
        ).headers["Location"]
        kept_alive = httpx.Client(base_url=running.api, headers=running.key)
        assert kept_alive.get(location).status_code == 200
        answers: list[httpx.Response] = []
        with admin.transaction():
            admin.execute("SELECT 1 FROM users FOR UPDATE")
            blocked = threading.Thread(
                target=lambda: answers.append(
                    httpx.patch(running.api + location, json={"name": "Late"}, headers=running.key, timeout=20)
                )
            )
            blocked.start()
            wait_until(lambda: waiting_for_lock(postgres, migrated), running.process)
            running.process.send_signal(signal.SIGTERM)
            wait_until(lambda: httpx.get(f"{running.api}/readyz").status_code == 503, running.process)
            new = httpx.get(f"{running.api}/readyz")
            assert new.json()["code"] == "draining"
            served = kept_alive.get(location)
            assert served.status_code == 200
            assert served.headers["Connection"] == "close"
            assert httpx.get(f"{running.api}/livez").status_code == 200
        blocked.join(timeout=20)
        assert [answer.status_code for answer in answers] == [200]
        lines = running.output()
        assert running.process.returncode == 0
        assert {"request", "Shutting down: Master"} <= {line["message"] for line in lines}


def half_a_request(running, name: str) -> socket.socket:
    """A request whose body is still on its way: whoever works on it waits for the rest."""
    body = json.dumps({"title": name, "seats": 1})
    address = httpx.URL(running.api)
    client = socket.create_connection((address.host, address.port))
    head = ["POST /v1/courses HTTP/1.1", "Host: payload", f"X-API-Key: {running.key['X-API-Key']}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close", "", body[:-1]]
    client.sendall("\r\n".join(head).encode())
    return client


def test_one_request_too_many_is_refused_at_once_and_the_others_are_served(serve, wait_until):
    small = {"SLIPWAY_THREADS": "1", "SLIPWAY_WAITING": "0", "SLIPWAY_QUEUE": "2", "SLIPWAY_DRAIN_SECONDS": "0"}
    with serve(**small, SLIPWAY_REQUEST_SECONDS="60") as running:
        others = [half_a_request(running, str(number)) for number in range(3)]
        wait_until(lambda: (inside(running, "working"), inside(running, "waiting")) == (1, 2), running.process)
        refused = [httpx.get(f"{running.api}/version", timeout=30) for _ in range(20)]
        assert {(it.status_code, it.json()["code"]) for it in refused} == {(503, "overloaded")}
        assert {it.headers["Retry-After"] for it in refused} == {"1"}
        assert len({it.headers["X-Request-ID"] for it in refused}) == 20
        assert httpx.head(f"{running.api}/version", timeout=30).content == b""
        probes = [httpx.get(f"{running.api}{path}", timeout=30) for path in ("/livez", "/readyz")]
        assert [it.status_code for it in probes] == [200, 200]
        for client in others:
            client.sendall(b"}")
        for client in others:
            with client, client.makefile("rb") as answer:
                assert answer.readline().split()[1] == b"201"
        assert httpx.get(f"{running.api}/version").status_code == 200
        metrics = httpx.get(f"{running.metrics}/metrics").text
        assert 'payload_requests_refused_total{reason="queue full"} 21.0' in metrics


def test_whoever_has_a_connection_and_says_nothing_holds_nobody_up(serve):
    with serve(SLIPWAY_THREADS="1", SLIPWAY_WAITING="0", SLIPWAY_QUEUE="0", SLIPWAY_DRAIN_SECONDS="0") as running:
        address = httpx.URL(running.api)
        with ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(socket.create_connection((address.host, address.port)))
            assert httpx.get(f"{running.api}/version", timeout=30).status_code == 200


def test_requests_that_come_together_on_one_connection_are_all_answered(serve):
    with serve(SLIPWAY_DRAIN_SECONDS="0") as running:
        address = httpx.URL(running.api)
        client = socket.create_connection((address.host, address.port), timeout=20)
        with client, client.makefile("rb") as answers:
            client.sendall(b"GET /version HTTP/1.1\r\nHost: payload\r\n\r\n" * 3)
            for _ in range(3):
                assert answers.readline().split()[1] == b"200"
                length = int(parse_headers(answers)["Content-Length"])
                assert answers.read(length)[:1] == b"{"
            assert httpx.get(f"{running.api}/version", timeout=20).status_code == 200


def test_who_waits_longer_than_a_client_does_is_told_so(serve, wait_until):
    small = {"SLIPWAY_THREADS": "1", "SLIPWAY_WAITING": "0", "SLIPWAY_QUEUE": "2", "SLIPWAY_DRAIN_SECONDS": "0"}
    chain = {"REQUEST": "1.5", "WRITE": "1", "STATEMENT": "0.8", "LOCK": "0.5", "POOL_WAIT": "0.3"}
    chain |= {"READ": "1", "PRIMARY": "1"}
    small |= {f"SLIPWAY_{name}_SECONDS": value for name, value in chain.items()}
    with serve(**small) as running, half_a_request(running, "first"):
        wait_until(lambda: inside(running, "working") == 1, running.process)
        late = httpx.get(f"{running.api}/version", timeout=30)
        assert (late.status_code, late.json()["code"]) == (503, "overloaded")


def inside(running, state: str) -> float:
    text = httpx.get(f"{running.metrics}/metrics").text
    return float(re.search(rf'^payload_requests{{state="{state}"}} (.*)$', text, re.MULTILINE).group(1))


def waiting_for_lock(server, database: str) -> bool:
    with server.admin(database) as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s", [database]
        ).fetchone()
    return row is not None and row[0] == 1


def test_logs_are_ecs_json_and_metrics_have_a_port_of_their_own(serve):
    with serve(SLIPWAY_DRAIN_SECONDS="0") as running:
        httpx.get(f"{running.api}/v1/users?limit=1", headers={**running.key, "X-Request-ID": "r-1"})
        httpx.get(f"{running.api}/no/such/path")
        metrics = httpx.get(f"{running.metrics}/metrics").text
        assert httpx.get(f"{running.metrics}/anything").status_code == 404
        assert httpx.get(f"{running.api}/metrics").status_code == 404
        assert 'flask_http_request_total{colour="green",method="GET",status="200",version="9.9.9"} 1.0' in metrics
        assert 'url_rule="/v1/users"' in metrics
        assert "/no/such/path" not in metrics
        running.process.send_signal(signal.SIGTERM)
        lines = running.output()
    access = next(line for line in lines if line.get("http.request.id") == "r-1")
    assert access["message"] == "request"
    assert (access["log.level"], access["http.route"], access["http.response.status_code"]) == (
        "info",
        "/v1/users",
        200,
    )
    assert (access["service.version"], access["labels.colour"]) == ("9.9.9", "green")
    assert isinstance(access["event.duration"], int)
    assert all("@timestamp" in line and "ecs.version" in line for line in lines)


def test_two_workers_share_one_metrics_port_and_count_together(serve):
    with serve(SLIPWAY_WORKERS="2", SLIPWAY_DRAIN_SECONDS="0") as running:
        for _ in range(20):
            assert httpx.get(f"{running.api}/v1/users", headers=running.key).status_code == 200
        metrics = httpx.get(f"{running.metrics}/metrics").text
        line = next(
            line
            for line in metrics.splitlines()
            if line.startswith("flask_http_request_duration_seconds_count") and 'url_rule="/v1/users"' in line
        )
        assert float(line.rpartition(" ")[2]) == 20
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"SLIPWAY_THREADS": "0"}, "SLIPWAY_THREADS"),
        ({"SLIPWAY_COLOUR": "red"}, "SLIPWAY_COLOUR"),
        ({"SLIPWAY_DATABASE_URL_FILE": "/no/such/file"}, "SLIPWAY_DATABASE_URL_FILE"),
        ({"SLIPWAY_STATEMENT_SECONDS": "30"}, "SLIPWAY_STATEMENT_SECONDS"),
    ],
)
def test_wrong_settings_end_the_process_at_once_with_a_reason(settings, environment, values, named):
    done = subprocess.run(
        [sys.executable, "-m", "app.serve"],
        cwd=ROOT,
        env=environment(settings, **values),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert named in done.stderr


def test_a_version_that_crashes_ends_with_70(settings, environment):
    api, metrics = free_ports(2)
    done = subprocess.run(
        [sys.executable, "-m", "app.serve"],
        cwd=ROOT,
        env=environment(
            settings,
            SLIPWAY_PORT=str(api),
            SLIPWAY_METRICS_PORT=str(metrics),
            SLIPWAY_FAULTS_ALLOWED="true",
            SLIPWAY_FAULTS='{"crash_after_seconds": 0}',
        ),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 70


def test_the_service_needs_no_other_package_of_this_repository():
    code = (
        "import sys, app.server, app.migrate;"
        "ours = {'infra', 'slipway', 'dashboards', 'loadtests', 'pulumi'};"
        "print([name for name in sys.modules if name.split('.')[0] in ours])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_psycopg_is_the_binary_build_so_that_the_image_needs_no_libpq():
    assert psycopg.pq.__impl__ == "binary"


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (f"GET /v1/users?cursor={'x' * 5000} HTTP/1.1", "", 414),
        ("GET /livez HTTP/1.1", f"X-Long: {'x' * 9000}\r\n", 431),
        ("GET /livez HTTP/1.1", "".join(f"X-{number}: x\r\n" for number in range(101)), 431),
        ("GET /livez HTTP/1.1", "X Bad: x\r\n", 400),
        ("nonsense", "", 400),
    ],
)
def test_what_the_server_refuses_itself_is_a_problem_document_too(serve, request_line, headers, status):
    with serve(SLIPWAY_DRAIN_SECONDS="0") as running:
        url = httpx.URL(running.api)
        with socket.create_connection((url.host, url.port), timeout=10) as wire:
            wire.sendall(f"{request_line}\r\nHost: x\r\n{headers}\r\n".encode())
            answer = HTTPResponse(wire)
            answer.begin()
            problem = json.loads(answer.read())
        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert (problem["status"], problem["request_id"]) == (status, answer.headers["X-Request-ID"])
        assert (answer.headers["X-Slipway-Colour"], answer.headers["Connection"]) == ("green", "close")
        running.process.send_signal(signal.SIGTERM)
        (line,) = [line for line in running.output() if line["message"] == "request refused before it was read"]
        assert line["http.request.id"] == problem["request_id"]
