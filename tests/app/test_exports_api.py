"""Exports: ordered with 202, followed by events, fetched as a file; by whoever ordered them, and for an hour."""

import csv
import io
import json
import signal
from datetime import UTC, datetime
from threading import Event
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from redis import Redis

from app.core.parts import parts_of
from app.core.streams import Streams
from app.seed import seed
from app.services import exports
from app.services.exports import FileForm, written
from app.worker.handlers import handlers_for
from app.worker.loop import Worker

EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def people(database):
    seed(database, 7, datetime.now(UTC))


def order(client, kind="users", form="ndjson"):
    answer = client.post("/v1/exports", json={"kind": kind, "form": form})
    assert answer.status_code == 202
    return answer.json["data"], answer.headers["Location"]


def done(client, database, form="ndjson", kind="users"):
    made, location = order(client, kind, form)
    exports.build(database, UUID(made["id"]), None)
    return client.get(location).json["data"], location


def follow(client, location, **headers):
    """The whole stream, closed afterwards as a server does."""
    return client.get(f"{location}/events", headers={**EVENTS, **headers}, buffered=True)


def events_in(text):
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    told = [dict(line.split(": ", 1) for line in block) for block in blocks]
    return [(one["id"], json.loads(one["data"])) for one in told if "data" in one]


@pytest.mark.usefixtures("people")
def test_an_export_is_ordered_written_and_fetched(client, database, postgres, migrated):
    made, location = order(client)
    assert (made["state"], made["links"]["content"]) == ("waiting", None)
    assert client.get(location).headers["Retry-After"] == "1"
    early = client.get(f"{location}/content")
    assert (early.status_code, early.json["code"]) == (409, "export_not_done")
    exports.build(database, UUID(made["id"]), None)
    asked = client.get(location)
    assert "Retry-After" not in asked.headers
    state = asked.json["data"]
    assert (state["state"], state["rows"], state["links"]["content"]) == ("done", 7, f"{location}/content")
    file = client.get(state["links"]["content"])
    assert (file.status_code, file.mimetype) == (200, "application/x-ndjson")
    assert file.headers["Content-Disposition"] == f'attachment; filename="export-{made["id"]}.ndjson"'
    listed = client.get("/v1/users?limit=100").json["data"]
    assert [row["id"] for row in map(json.loads, file.text.splitlines())] == [row["id"] for row in listed]
    with postgres.admin(migrated) as admin:
        audit = admin.execute("SELECT subject FROM audit_log WHERE action = 'export.create'").fetchall()
    assert audit == [(made["id"],)]


@pytest.mark.usefixtures("people")
def test_a_worker_writes_it(client, database, settings, redis_server):
    _, location = order(client, "courses", "csv")
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
        worker = Worker(
            database=database,
            redis=redis,
            stream="exports",
            name="one",
            handlers=handlers_for(settings, database),
            may_consume=lambda: True,
            registry=CollectorRegistry(),
        )
        for _ in range(3):
            worker.round(Event())
    assert client.get(location).json["data"]["state"] == "done"
    assert client.get(f"{location}/content").text.splitlines()[0] == "id,title,seats,seats_taken,created_at,updated_at"


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(("most", "rows"), [(5, 5), (6, 6), (100, 7)])
def test_it_is_read_in_steps_and_has_an_end(client, database, monkeypatch, most, rows):
    monkeypatch.setattr(exports, "_STEP", 2)
    monkeypatch.setattr(exports, "MOST_ROWS", most)
    state, location = done(client, database)
    ids = [json.loads(line)["id"] for line in client.get(f"{location}/content").text.splitlines()]
    assert state["rows"] == len(ids) == len(set(ids)) == rows


def test_it_is_only_for_whoever_ordered_it_and_for_whom_the_list_is(client, database):
    scopes = ["exports:read", "exports:write", "courses:read"]
    other = {"X-API-Key": client.post("/v1/keys", json={"name": "k", "scopes": scopes}).json["data"]["key"]}
    _, location = done(client, database)
    for path in (location, f"{location}/content", f"{location}/events"):
        headers = {**other, "Accept": "*/*"}
        assert client.get(path, headers=headers).status_code == 404
    refused = client.post("/v1/exports", json={"kind": "users"}, headers=other)
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert client.post("/v1/exports", json={"kind": "courses"}, headers=other).status_code == 202


def test_it_ends_and_a_late_message_does_no_harm(client, database, postgres, migrated):
    made, location = done(client, database)
    with postgres.admin(migrated) as admin:
        admin.execute("UPDATE exports SET expires_at = now() - interval '1 second'")
        assert client.get(location).status_code == 404
        admin.execute("DELETE FROM exports")
    exports.build(database, UUID(made["id"]), None)
    assert client.get(location).status_code == 404


def test_a_client_that_reads_no_such_file_is_told_before(client, database):
    _, location = done(client, database)
    accepts = {"application/x-ndjson": 200, "text/csv, */*;q=0.1": 200, "application/json": 406, "image/png": 406}
    for accept, status in accepts.items():
        assert client.get(f"{location}/content", headers={"Accept": accept}).status_code == status


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20), max_size=5))
def test_no_cell_is_a_formula_and_nothing_else_is_changed(names):
    rows = list(
        csv.reader(
            io.StringIO(written(FileForm.CSV, ["name"], [{"name": name} for name in names]).decode(), newline="")
        )
    )
    assert rows[0] == ["name"]
    read = [row[0] if row else "" for row in rows[1:]]
    assert not [cell for cell in read if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [
        cell.removeprefix("'") if not name.startswith("'") else cell for cell, name in zip(read, names, strict=True)
    ] == names


def test_events_tell_the_last_step_and_go_on_where_one_was(client, database):
    _, location = done(client, database)
    told = events_in(follow(client, location).text)
    assert [data for _, data in told] == [{"rows": 0, "done": True}]
    again = follow(client, location, **{"Last-Event-ID": told[-1][0]})
    assert (again.mimetype, events_in(again.text)) == ("text/event-stream", [])
    for text in ("none", "-1", "9" * 40, "²"):
        assert len(events_in(follow(client, location, **{"Last-Event-ID": text}).text)) == 1


def test_a_head_takes_no_stream(client, database):
    _, location = done(client, database)
    for _ in range(5):  # more than there are
        assert client.head(f"{location}/events", headers=EVENTS).status_code == 200
    streams = parts_of(client.application).streams
    assert streams.take()
    assert client.get(f"{location}/events", headers=EVENTS).status_code == 503
    streams.give_back()


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (4, 1), (8, 2), (64, 16)])
def test_a_quarter_of_the_threads_may_be_streams(threads, most):
    streams = Streams(threads)
    assert [streams.take() for _ in range(most + 1)] == [True] * most + [False]


@pytest.mark.usefixtures("people")
def test_a_stream_follows_the_worker_while_others_are_served_and_ends_with_the_process(serve, database):
    with serve(SLIPWAY_STREAM_SECONDS="60", SLIPWAY_DRAIN_SECONDS="0.5") as running:
        with httpx.Client(base_url=running.api, headers=running.key, timeout=30) as client:
            made = client.post("/v1/exports", json={"kind": "users"})
            location = made.headers["Location"]
            with client.stream("GET", f"{location}/events") as answer:
                lines = answer.iter_lines()
                data = (json.loads(line[6:]) for line in lines if line.startswith("data: "))
                assert next(data) == {"rows": 0, "done": False}
                second = httpx.get(f"{running.api}{location}/events", headers=running.key)
                assert (second.status_code, second.headers["Retry-After"]) == (503, "1")
                assert {httpx.get(f"{running.api}/livez").status_code for _ in range(20)} == {200}
                exports.build(database, UUID(made.json()["data"]["id"]), None)
                assert list(data)[-1] == {"rows": 7, "done": True}
            waiting = client.post("/v1/exports", json={"kind": "users"}).headers["Location"]
            with client.stream("GET", f"{waiting}/events") as answer:
                running.process.send_signal(signal.SIGTERM)
                assert len(list(answer.iter_lines())) > 0  # to its end, long before its time
        assert running.process.wait(timeout=30) == 0


def test_streams_can_be_switched_off_and_on_while_the_service_runs(serve, database, tmp_path, wait_until):
    flags = tmp_path / "flags.json"
    flags.write_text('{"version": "1", "flags": {"export-streams": {"on": false}}}')
    with serve(SLIPWAY_FLAGS_FILE=str(flags), SLIPWAY_DRAIN_SECONDS="0") as running:
        made = httpx.post(f"{running.api}/v1/exports", json={"kind": "users"}, headers=running.key)
        exports.build(database, UUID(made.json()["data"]["id"]), None)
        events = f"{running.api}{made.headers['Location']}/events"
        off = httpx.get(events, headers=running.key)
        assert (off.status_code, off.content) == (204, b"")
        flags.write_text('{"version": "2", "flags": {"export-streams": {"on": true}}}')
        wait_until(lambda: httpx.get(events, headers=running.key).status_code == 200, running.process)
        running.process.send_signal(signal.SIGTERM)
        (line,) = [line for line in running.output() if line["message"] == "flags read"]
    assert line["labels.flags"] == "2"
