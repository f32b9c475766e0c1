"""A user is created, a message waits, a worker acts once: on a real Postgres, a real Redis and real SMTP."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from threading import Event

import httpx
import pytest
from app_process import measured
from ports import free_port
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app import work
from app.repositories import messages
from app.repositories.messages import MOST_ATTEMPTS
from app.worker import loop
from app.worker.handlers import HandlingError, handlers_for
from app.worker.loop import Chore, Worker

ROOT = Path(__file__).parents[3]
STREAM = "payload:dev:messages"


class Mailbox(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a client needs; `received` holds the mails."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Dialogue)
        self.received = []
        self.arrived = Event()


class Dialogue(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "DATA":
                self.say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                self.server.received.append(message_from_string("".join(lines)))
                self.server.arrived.set()
            self.say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mailbox():
    with Mailbox() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def redis(redis_server):
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def clock(monkeypatch):
    """The worker's clock, which tests move."""
    state = {"now": datetime.now(UTC)}

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return state["now"].astimezone(tz)

    monkeypatch.setattr(loop, "datetime", Clock)
    monkeypatch.setattr(loop, "_BLOCK_MILLISECONDS", 50)

    def forward(seconds):
        state["now"] += timedelta(seconds=seconds)

    return forward


@pytest.fixture
def worker(database, redis):
    def make(handlers, name="one"):
        return Worker(
            database=database,
            redis=redis,
            stream=STREAM,
            name=name,
            handlers=handlers,
            may_consume=lambda: True,
            registry=CollectorRegistry(),
        )

    return make


@pytest.fixture
def welcoming(settings, database, mailbox):
    """The handlers of an environment with a mail server."""
    host, port = mailbox.server_address
    return handlers_for(settings.model_copy(update={"smtp_host": host, "smtp_port": port}), database)


@pytest.fixture
def no_mail(settings, database):
    """The handlers of an environment without one."""
    return handlers_for(settings, database)


def create(client, number=0):
    body = {"name": "Ann", "email": f"ann-{number}@example.test"}
    return client.post("/v1/users", json=body, headers={"X-Request-ID": f"r-{number}"})


def rounds(worker, count=3):
    for _ in range(count):
        worker.round(Event())


@pytest.fixture
def waiting(postgres, migrated):
    """What is in the table: topic, attempts, dead."""

    def look():
        with postgres.admin(migrated) as admin:
            return admin.execute("SELECT topic, attempts, dead_at IS NOT NULL FROM messages ORDER BY id").fetchall()

    return look


def test_a_new_user_gets_one_welcome_mail(welcoming, client, worker, clock, mailbox):
    create(client)
    clock(1)
    rounds(worker(welcoming))
    clock(60)
    rounds(worker(welcoming, "two"))
    assert [(mail["To"], mail["Subject"]) for mail in mailbox.received] == [("ann-0@example.test", "Welcome")]
    assert mailbox.received[0]["Message-ID"].startswith("<welcome-")


def test_a_refused_request_announces_nothing(client, waiting):
    create(client)
    assert create(client).status_code == 409
    assert waiting() == [("user.created", 0, False)]


def test_a_message_knows_the_request_that_caused_it(client, worker, clock):
    seen = []
    create(client, 7)
    clock(1)
    rounds(worker({"user.created": seen.append}))
    assert [(message.trace, message.payload["email"]) for message in seen] == [("r-7", "ann-7@example.test")]


def test_without_mail_nothing_is_owed(client, worker, clock, no_mail, waiting):
    create(client)
    clock(1)
    rounds(worker(no_mail))
    assert waiting() == []


def test_what_redis_loses_is_published_again(client, worker, clock, redis):
    seen = []
    create(client)
    clock(1)
    one = worker({"user.created": seen.append})
    one._publish()
    redis.flushall()  # an acknowledged XADD can be lost: replication is asynchronous
    rounds(one)
    assert seen == []
    clock(31)
    rounds(one)
    assert len(seen) == 1


def test_a_message_that_arrives_twice_is_acted_on_once(client, worker, clock, redis):
    seen = []
    create(client)
    clock(1)
    one = worker({"user.created": seen.append})
    one._publish()
    ((_, fields),) = redis.xrange(STREAM)
    redis.xadd(STREAM, fields)
    rounds(one)
    assert len(seen) == 1


def test_a_failing_message_is_tried_again_later_and_later_then_dead(client, worker, clock, waiting):
    tries = []

    def fail(message):
        tries.append(message)
        raise HandlingError("mail server away")

    create(client)
    one = worker({"user.created": fail})
    clock(1)
    rounds(one)
    assert len(tries) == 1
    rounds(one)
    assert len(tries) == 1  # not at once
    for attempt in range(1, MOST_ATTEMPTS):
        clock(2**attempt)
        rounds(one, 1)
    assert len(tries) == MOST_ATTEMPTS
    assert waiting() == [("user.created", MOST_ATTEMPTS, True)]
    clock(3600)
    rounds(one)
    assert len(tries) == MOST_ATTEMPTS


def test_a_message_that_is_given_up_is_reported_and_one_that_is_tried_again_is_not(client, worker, clock, sent):
    def fail(_message):
        raise HandlingError("no mail to ann@example.test")

    create(client)
    one = worker({"user.created": fail})
    clock(1)
    rounds(one)
    assert sent == []
    for attempt in range(1, MOST_ATTEMPTS):
        clock(2**attempt)
        rounds(one, 1)
    (event,) = sent
    assert (event["tags"]["route"], event["tags"]["request_id"]) == ("user.created", "r-0")
    assert event["exception"]["values"][0]["value"] == "no mail to [address]"


def test_an_error_that_nobody_foresaw_is_reported_and_ends_the_worker_and_an_outage_is_not(client, worker, clock, sent):
    errors = [RedisConnectionError("away"), KeyError("id")]

    def fail(_message):
        raise errors[0]

    create(client)
    clock(1)
    one = worker({"user.created": fail})
    with pytest.raises(RedisConnectionError):
        rounds(one)
    assert sent == []
    errors.pop(0)
    clock(3600)
    with pytest.raises(KeyError):
        rounds(one)
    (event,) = sent
    assert (event["tags"]["route"], event["exception"]["values"][0]["type"]) == ("user.created", "KeyError")


def test_a_replayed_message_is_acted_on(client, worker, clock, database):
    create(client)
    now = datetime.now(UTC)
    clock(1)
    for _ in range(MOST_ATTEMPTS):
        dead = database.write(lambda connection: messages.failed(connection, first_id(connection), "x", now))
    assert dead
    assert database.write(lambda connection: messages.replay_dead(connection, now)) == 1
    done = []
    rounds(worker({"user.created": done.append}))
    assert len(done) == 1


def first_id(connection):
    return connection.exec_driver_sql("SELECT min(id) FROM messages").scalar_one()


def test_a_topic_of_a_newer_version_is_left_for_it(client, worker, clock, waiting):
    create(client)
    clock(1)
    rounds(worker({}))
    assert waiting() == [("user.created", 0, False)]
    seen = []
    clock(31)
    rounds(worker({"user.created": seen.append}, "newer"))
    assert len(seen) == 1


def test_a_failed_publication_leaves_the_message_due(client, worker, clock, redis, monkeypatch):
    create(client)
    clock(1)
    seen = []
    one = worker({"user.created": seen.append})
    with monkeypatch.context() as patch:
        patch.setattr(redis, "pipeline", lambda **_: (_ for _ in ()).throw(RedisConnectionError("away")))
        with pytest.raises(RedisConnectionError):
            one._publish()
    rounds(one)
    assert len(seen) == 1


def test_trouble_only_makes_the_worker_wait(worker, monkeypatch):
    one, stop = worker({}), Event()
    rounds_run = []

    def away(_stop):
        rounds_run.append(1)
        if len(rounds_run) == 3:
            stop.set()
        raise RedisConnectionError("away")

    monkeypatch.setattr(loop, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(one, "round", away)
    one.run(stop)
    assert len(rounds_run) == 3


def test_chores_are_done_now_and_then_by_whoever_consumes(database, redis):
    now, done, rounds_run, stop = [0.0], [], [], Event()

    def may():
        rounds_run.append(1)
        now[0] = len(rounds_run) * 0.4
        if len(rounds_run) == 12:
            stop.set()
        return len(rounds_run) > 3

    one = Worker(
        database=database, redis=redis, stream=STREAM, name="one", handlers={}, may_consume=may,
        registry=CollectorRegistry(), chores=[Chore(1.0, lambda: done.append(now[0]), lambda: now[0])],
    )  # fmt: skip
    one.round = lambda _stop: None
    stop.wait = lambda _seconds: None
    one.run(stop)
    assert done == pytest.approx([1.6, 2.8, 4.0])


def test_how_many_messages_there_are_and_how_late_they_are_is_told(client, clock, database):
    create(client)
    create(client, 1)
    for _ in range(MOST_ATTEMPTS):
        database.write(lambda connection: messages.failed(connection, first_id(connection), "x", datetime.now(UTC)))
    registry = CollectorRegistry()
    one = Worker(
        database=database, redis=None, stream=STREAM, name="one", handlers={}, may_consume=bool, registry=registry
    )
    clock(7200)
    one._count()
    found = {
        state: registry.get_sample_value("payload_outbox_messages", {"state": state}) for state in ("open", "dead")
    }
    assert found == {"open": 1, "dead": 1}
    assert 7000 < registry.get_sample_value("payload_outbox_oldest_seconds") <= 7200  # the clock stands since before


def test_who_consumes_no_more_says_nothing_of_the_table(client, database, monkeypatch):
    create(client)
    registry, stop, turns = CollectorRegistry(), Event(), iter([True, False])
    one = Worker(
        database=database, redis=None, stream=STREAM, name="one", handlers={}, may_consume=lambda: next(turns),
        registry=registry,
    )  # fmt: skip
    known = lambda: registry.get_sample_value("payload_outbox_messages", {"state": "open"})  # noqa: E731
    seen = []
    monkeypatch.setattr(one, "round", lambda _stop: None)
    stop.wait = lambda _seconds: (seen.append(known()), stop.set())
    counted = one._count
    monkeypatch.setattr(one, "_chores", [lambda: (counted(), seen.append(known()))])
    one.run(stop)
    assert seen == [1, None]
    assert registry.get_sample_value("payload_outbox_oldest_seconds") == 0


def test_another_service_reads_the_same_stream_with_a_group_of_its_own(client, worker, clock, redis, no_mail):
    """Workers acknowledge in the table, not in the stream: what they have done is there for others too."""
    redis.xgroup_create(STREAM, "others", id="0", mkstream=True)
    create(client)
    clock(1)
    rounds(worker(no_mail))
    entries = redis.xreadgroup("others", "one", {STREAM: ">"}, block=50)
    found = [json.loads(fields[b"message"]) for fields in loop._entries(entries)]
    assert [(it["topic"], it["payload"]["name"]) for it in found] == [("user.created", "Ann")]


@pytest.mark.parametrize(("text", "consumes"), [("blue\n", True), ("green", False), (None, False)])
def test_only_the_workers_of_the_named_colour_consume(settings, tmp_path, text, consumes):
    switch = tmp_path / "colour"
    if text is not None:
        switch.write_text(text)
    assert work.may_consume(settings.model_copy(update={"consume_colour_file": switch})) is consumes
    assert work.may_consume(settings)


@pytest.fixture
def environment(settings, redis_server):
    """What a worker's container is told."""
    path = settings.database_url_file.parent / "redis-url"
    path.write_text(redis_server.url)
    return {
        **measured(),
        "PATH": os.environ["PATH"],
        "SLIPWAY_DATABASE_URL_FILE": str(settings.database_url_file),
        "SLIPWAY_REDIS_URL_FILE": str(path),
        "SLIPWAY_METRICS_PORT": str(free_port()),
    }


@pytest.mark.usefixtures("redis")
def test_the_real_process_sends_the_mail_keeps_the_log_and_stops_in_order(
    client, environment, mailbox, postgres, migrated
):
    def months():
        """The partitions of the audit log that somebody has made."""
        with postgres.admin(migrated) as admin:
            return admin.execute("SELECT 1 FROM pg_class WHERE relname ~ '^audit_log_[0-9]{4}_[0-9]{2}$'").fetchall()

    host, port = mailbox.server_address
    env = {**environment, "SLIPWAY_SMTP_HOST": host, "SLIPWAY_SMTP_PORT": str(port)}
    create(client)
    process = subprocess.Popen([sys.executable, "-m", "app.work"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert mailbox.arrived.wait(timeout=60)
        while not months():
            assert process.poll() is None
        metrics = f"http://127.0.0.1:{env['SLIPWAY_METRICS_PORT']}/metrics"
        while 'payload_messages_total{outcome="done",topic="user.created"} 1.0' not in httpx.get(metrics).text:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert json.loads(out.splitlines()[-1])["message"] == "worker stopped"


@pytest.fixture
def in_environment(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def test_the_command_replays_dead_messages(in_environment, client, database, waiting, capsys):
    create(client)
    for _ in range(MOST_ATTEMPTS):
        database.write(lambda connection: messages.failed(connection, first_id(connection), "x", datetime.now(UTC)))
    assert work.main(["--replay-dead"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"outcome": "done", "replayed": 1}
    assert waiting() == [("user.created", 0, False)]
    Path(in_environment["SLIPWAY_DATABASE_URL_FILE"]).write_text("postgresql+psycopg://payload@127.0.0.1:1/payload")
    assert work.main(["--replay-dead"]) == 1


@pytest.mark.usefixtures("in_environment")
def test_a_worker_without_redis_does_not_start(monkeypatch, capsys):
    monkeypatch.delenv("SLIPWAY_REDIS_URL_FILE")
    assert work.main([]) == 2
    assert "SLIPWAY_REDIS_URL_FILE" in capsys.readouterr().err
