"""A receiver over real HTTP: it can check who sent what, and when it is ill it is asked seldom and briefly."""

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ports import free_port
from prometheus_client import CollectorRegistry
from redis import Redis

from app.core import trace
from app.worker import loop, webhook
from app.worker.handlers import handlers_for
from app.worker.loop import Worker
from app.worker.webhook import RetryBudget, Webhook, WebhookAwayError, WebhookError, signed

KEY = "a-secret-that-both-sides-share-in-tests"


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets; `statuses` are its next answers, None: none at all. Then it answers 204."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.statuses = []
        self.received = []
        self.closing = Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        if status is None:
            self.server.closing.wait()
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "webhook-key"
    path.write_text(KEY)
    return path


@pytest.fixture
def hook(receiver, key_file):
    return Webhook(receiver.url, key_file)


def test_the_receiver_can_tell_who_sent_what_and_when(hook, receiver):
    trace.enter(trace.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    hook.send("export.finished-7", {"type": "export.finished", "data": {"rows": 3}})
    trace.enter(None)
    ((headers, body),) = receiver.received
    assert json.loads(body) == {"type": "export.finished", "data": {"rows": 3}}
    name, moment = headers["webhook-id"], headers["webhook-timestamp"]
    assert (name, abs(int(moment) - time.time()) < 60) == ("export.finished-7", True)
    expected = hmac.new(KEY.encode(), f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    assert headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_once_more(hook, receiver, status):
    receiver.statuses = [status]
    hook.send("a", {})
    assert len(receiver.received) == 2


@pytest.mark.parametrize("status", [302, 400, 404, 410, 500])
def test_what_will_not_pass_is_not(hook, receiver, status):
    receiver.statuses = [status]
    with pytest.raises(WebhookError, match=str(status)):
        hook.send("a", {})
    assert len(receiver.received) == 1


def test_a_receiver_that_hangs_costs_less_than_the_transaction_around_it(hook, receiver, settings):
    receiver.statuses = [None, None]
    began = time.monotonic()
    with pytest.raises(WebhookError, match="ReadTimeoutError"):
        hook.send("a", {})
    assert time.monotonic() - began < settings.write_seconds
    assert len(receiver.received) == 2


def test_retries_have_a_budget_and_a_sick_receiver_is_left_alone_for_a_while(hook, receiver, monkeypatch):
    receiver.statuses = [503] * 10
    for _ in range(webhook._OPENS_AFTER):
        with pytest.raises(WebhookError, match="503"):
            hook.send("a", {})
    assert len(receiver.received) == 10
    with pytest.raises(WebhookAwayError):
        hook.send("a", {})
    assert len(receiver.received) == 10
    monkeypatch.setattr(hook._breaker, "_closed_again", 0.0)
    hook.send("a", {})  # one may try, and closes it
    hook.send("a", {})
    assert len(receiver.received) == 12
    receiver.statuses = [503] * 2
    with pytest.raises(WebhookError):
        hook.send("a", {})
    assert len(receiver.received) == 13  # nothing is left of the budget


def test_nobody_there_is_an_error_that_is_told(key_file):
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(WebhookError, match="NewConnectionError"):
        Webhook(url, key_file).send("a", {})


@given(st.lists(st.booleans(), max_size=300))
def test_retries_are_never_more_than_a_tenth_of_calls_and_what_was_saved(calls):
    budget, retried = RetryBudget(0.1, 5), 0
    for made, wants_retry in enumerate(calls, start=1):
        budget.earn()
        retried += wants_retry and budget.spend()
        assert retried <= made * 0.1 + 5 + 1e-9


@given(st.binary(max_size=50), st.binary(max_size=50), st.integers(0, 2**40))
def test_a_signature_is_of_one_body_and_one_moment(one, other, moment):
    made = signed(KEY, "a", moment, one)["webhook-signature"]
    assert (made == signed(KEY, "a", moment, other)["webhook-signature"]) is (one == other)
    assert made != signed(KEY, "a", moment + 1, one)["webhook-signature"]
    assert made != signed(f"{KEY}!", "a", moment, one)["webhook-signature"]


@pytest.fixture
def redis(redis_server, monkeypatch):
    """An empty Redis that workers wait at only briefly."""
    monkeypatch.setattr(loop, "_BLOCK_MILLISECONDS", 20)
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def finish(client, settings, database, key_file, redis):
    """Lets a worker finish an export whose end is told to an address."""

    def run(url):
        client.post("/v1/exports", json={"kind": "courses", "form": "csv"})
        told = settings.model_copy(update={"webhook_url": url, "webhook_key_file": key_file})
        worker = Worker(
            database=database,
            redis=redis,
            stream="payload:dev:messages",
            name="one",
            handlers=handlers_for(told, database),
            may_consume=lambda: True,
            registry=CollectorRegistry(),
        )
        for _ in range(6):
            worker.round(Event())

    return run


@pytest.fixture
def waiting(postgres, migrated):
    """What is in the table of messages: topic and attempts."""

    def look():
        with postgres.admin(migrated) as admin:
            return admin.execute("SELECT topic, attempts FROM messages").fetchall()

    return look


@pytest.mark.parametrize(("status", "left"), [(204, []), (400, [("export.finished", 1)])])
def test_a_finished_export_is_told_once_and_again_later_if_it_was_not_taken(finish, receiver, waiting, status, left):
    receiver.statuses = [status]
    finish(receiver.url)
    assert [json.loads(body)["type"] for _, body in receiver.received] == ["export.finished"]
    assert waiting() == left


def test_a_receiver_that_is_left_alone_costs_a_message_no_attempt(finish, receiver, waiting, monkeypatch):
    monkeypatch.setattr(webhook.Breaker, "allows", lambda _: False)
    finish(receiver.url)
    assert receiver.received == []
    assert waiting() == [("export.finished", 0)]


def test_an_address_without_a_key_is_refused(settings):
    with pytest.raises(ValueError, match="WEBHOOK_KEY_FILE"):
        type(settings)(database_url_file=settings.database_url_file, webhook_url="http://receiver.test/")
