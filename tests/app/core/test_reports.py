import gzip
import http.server
import json
import threading
import time

import pytest
import sentry_sdk
from hypothesis import given
from hypothesis import strategies as st

from app.core import reports
from app.core.parts import parts_of


def break_reads(client, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(parts_of(client.application).database, "read", broken)


def test_an_unexpected_error_is_reported_once_without_anything_about_people(client, sent, monkeypatch):
    break_reads(client, monkeypatch, RuntimeError("row of ann@example.test\nDETAIL: Failing row contains (Ann)"))
    answer = client.get("/v1/users", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 500
    (event,) = sent
    assert event["exception"]["values"][0]["value"] == "row of [address]\n[row]"
    assert (event["tags"]["route"], event["tags"]["request_id"]) == ("/v1/users", "r-1")
    assert (event["release"], event["environment"], event["server_name"]) == ("1.2.3", "dev", "blue")
    assert not {"request", "user", "modules"} & set(event)
    assert event["breadcrumbs"]["values"] == []


def test_expected_answers_are_not_errors(client, sent):
    client.get("/no/such/path")
    client.post("/v1/users", json={})
    assert sent == []


def test_without_an_address_nothing_is_sent(client, settings, monkeypatch):
    reports.configure(settings)
    break_reads(client, monkeypatch, RuntimeError("x"))
    assert client.get("/v1/users").status_code == 500
    assert not sentry_sdk.get_client().is_active()
    reports.flush()


class Receiver(http.server.ThreadingHTTPServer):
    """Takes envelopes over HTTP as Sentry does; the gate holds answers back."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken = []
        self.gate = threading.Event()
        self.gate.set()

    @property
    def dsn(self):
        return f"http://public@127.0.0.1:{self.server_address[1]}/7"


class Taking(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.gate.wait(30)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.taken.append((self.path, self.headers["X-Sentry-Auth"], body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def receiver(settings, tmp_path):
    with Receiver() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        path = tmp_path / "dsn"
        path.write_text(f"{made.dsn}\n")
        reports.configure(settings.model_copy(update={"sentry_dsn_file": path}))
        yield made
        made.gate.set()
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)
        made.shutdown()


def test_a_real_receiver_gets_one_scrubbed_envelope_of_this_release(client, receiver, monkeypatch):
    break_reads(client, monkeypatch, RuntimeError("row of ann@example.test\nDETAIL: Failing row contains (Ann)"))
    headers = {"X-Request-ID": "r-1", "Authorization": "Bearer secret-of-ann", "Cookie": "session=ann"}
    assert client.get("/v1/users?name=Ann", headers=headers).status_code == 500
    reports.flush()
    ((path, auth, body),) = receiver.taken
    assert path == "/api/7/envelope/"
    assert "sentry_key=public" in auth
    envelope, item, event, *rest = body.splitlines()
    assert json.loads(envelope)["event_id"] == json.loads(event)["event_id"]
    assert json.loads(item)["type"] == "event"
    assert rest == []
    told = json.loads(event)
    assert (told["release"], told["environment"], told["server_name"]) == ("1.2.3", "dev", "blue")
    assert told["tags"] == {"route": "/v1/users", "request_id": "r-1"}
    # Paths of source files are in the trace of calls; nothing that the client sent or the row held is.
    assert not [private for private in (b"Ann", b"ann@", b"secret-of", b"session=", b"public") if private in event]


def test_a_receiver_that_hangs_costs_no_request_and_no_long_end(client, receiver, monkeypatch):
    receiver.gate.clear()
    break_reads(client, monkeypatch, RuntimeError("x"))
    begin = time.monotonic()
    assert [client.get("/v1/users").status_code for _ in range(20)] == [500] * 20
    asked = time.monotonic() - begin
    reports.flush()
    assert receiver.taken == []
    assert asked < 20, "the receiver holds each of twenty reports for 30 s"


@given(st.text(), st.emails(), st.text())
def test_no_address_survives_scrubbing(before, address, after):
    assert address not in reports.scrubbed(f"{before} {address} {after}")
