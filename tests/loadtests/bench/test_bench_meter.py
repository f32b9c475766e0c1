"""The even stream: it goes on while a server hangs, and times from when a request was due."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import httpx
import pytest

from loadtests.bench.meter import Ask, Meter


@pytest.fixture
def server():
    """Answers 200, or as told; waits while it may not go."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            made.go.wait(20)
            self.send_response(made.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.go, made.status, made.url = threading.Event(), 200, f"http://127.0.0.1:{made.server_port}"
    made.go.set()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.go.set()
    made.shutdown()
    thread.join()
    made.server_close()


def stream(url, seconds, meanwhile=lambda _: None):
    meter = Meter({"read": Ask(lambda: httpx.Request("GET", url), 200)}, per_second=20, most=8)
    meter.start()
    time.sleep(seconds / 2)
    meanwhile(meter)
    time.sleep(seconds / 2)
    meter.stop()
    return meter.samples


def until_one_ended(meter):
    while not meter.samples:  # the test has a timeout
        time.sleep(0.01)


def test_requests_are_due_evenly(server):
    due = sorted(it.due for it in stream(server.url, 1.0))
    assert len(due) == pytest.approx(20, abs=3)
    assert all(0.04 < later - earlier < 0.06 for earlier, later in pairwise(due))


def test_while_the_server_hangs_more_are_sent_and_all_are_timed_from_when_they_were_due(server):
    release = threading.Timer(1.5, server.go.set)
    server.go.clear()
    release.start()
    behind = []
    samples = stream(server.url, 1.0, lambda meter: behind.append(meter.behind()))
    release.join()
    assert behind[0] > 0.3
    waited = [it for it in samples if it.ms > 500]
    assert len(waited) >= 8
    assert not any(it.wrong for it in samples)


def test_a_wrong_status_and_no_answer_are_told_apart(server):
    server.status = 503
    assert {it.wrong for it in stream(server.url, 0.4, until_one_ended)} == {"status 503"}
    assert {it.wrong for it in stream("http://127.0.0.1:1", 0.4, until_one_ended)} == {"no answer"}
