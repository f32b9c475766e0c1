"""The real wrk at a small server: what it sends, and what is made of what it prints."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests.bench import machine, wrk

SAID = 'RESULT {"requests": 30, "microseconds": 2000000, "statuses": 1, "sockets": 2, "p50": 1500, "p99": 9000}'


@pytest.fixture
def server():
    """Answers 200 to what begins with /good, else 500; keeps what it was sent."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.command, self.path, dict(self.headers), body))
            self.send_response(200 if self.path.startswith("/good") else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_):
            """Nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    made.seen, made.url = seen, f"http://127.0.0.1:{made.server_port}"
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def shoot(server, targets, tokens=("a", "b")):
    _, core = machine.two_cores()
    return wrk.shoot(server.url, targets, tokens, seconds=1, connections=2, core=core)


def test_targets_and_callers_take_turns(server):
    shot = shoot(server, ["GET /good/1", "GET /good/2", "GET /good/3"], ["a", "b"])
    assert shot.requests > 10
    assert shot.wrong == 0
    assert 0 < shot.p50_ms <= shot.p99_ms
    assert shot.rate == pytest.approx(shot.requests / shot.seconds)
    assert {path for _, path, _, _ in server.seen} == {"/good/1", "/good/2", "/good/3"}
    assert {headers["Authorization"] for _, _, headers, _ in server.seen} == {"Bearer a", "Bearer b"}


def test_creations_are_all_different_also_in_the_next_run(server):
    for _ in range(2):
        shoot(server, ["POST /good"])
    bodies = [json.loads(body)["email"] for _, _, _, body in server.seen]
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in server.seen]
    assert len(set(bodies)) == len(bodies) > 10
    assert len(set(keys)) == len(keys)


def test_answers_that_are_errors_are_counted(server):
    shot = shoot(server, ["GET /bad"])
    assert shot.wrong == shot.requests > 0


def test_what_is_printed_is_read():
    shot = wrk.parse(f"Running 2s test\n{SAID}\n", 0.5)
    assert shot == wrk.Shot(requests=30, seconds=2.0, wrong=3, p50_ms=1.5, p99_ms=9.0, busy=0.25)


@pytest.mark.parametrize("printed", ["", "unable to connect\n", SAID.replace("30", "0")])
def test_a_run_that_measured_nothing_says_so(printed):
    with pytest.raises(wrk.WrkError, match="measured nothing"):
        wrk.parse(printed, 0.1)


def test_nobody_there_is_an_error(unused):
    _, core = machine.two_cores()
    with pytest.raises(wrk.WrkError):
        wrk.shoot(f"http://127.0.0.1:{unused}", ["GET /"], ["a"], seconds=1, connections=1, core=core)


def test_without_wrk_it_is_told_where_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(wrk.WrkError, match="apt-get install wrk"):
        wrk.find()


@pytest.fixture
def unused():
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return server.server_port
