"""A commit whose wait for the synchronous replica was cancelled is never a success."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from sqlalchemy import text

import app.core.database as core
from app.core.database_errors import CommitUnknown, TookTooLong
from app.core.parts import parts_of
from app.factory import create_app
from app.repositories.audit import Act, was_done
from app.services import resources

ANN = {"name": "Ann", "email": "ann@example.test"}
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def require_replica(server, name: str) -> None:
    """Make every commit wait for a synchronous standby of this name ('' for none)."""
    with server.admin() as admin:
        admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        admin.execute("SELECT pg_reload_conf()")
        setting = "SELECT setting FROM pg_settings WHERE name = 'synchronous_standby_names'"
        while admin.execute(setting).fetchone() != (name,):  # the reload is asynchronous; the test has a timeout
            pass


@pytest.fixture(scope="module")
def lonely(server_factory) -> Iterator[object]:
    """A server of its own: other tests must not wait for its replica."""
    with server_factory() as server:
        yield server


@pytest.fixture(scope="module")
def lonely_pooler(lonely, pooler_factory) -> Iterator[object]:
    with pooler_factory(lonely) as pooler:
        yield pooler


@pytest.fixture(params=["direct", "pooled"])
def stranded(lonely, migrate_on, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FlaskClient]:
    """A client of a service whose primary has lost its synchronous replica."""
    name = f"db{abs(hash(request.node.name)) % 10**8}"
    settings = migrate_on(
        lonely, name, tmp_path, write_seconds=0.5, statement_seconds=0.45, lock_seconds=0.4, pool_wait_seconds=0.3
    )
    if request.param == "pooled":
        settings.database_url_file.write_text(request.getfixturevalue("lonely_pooler").url(name))
    app = create_app(settings, CollectorRegistry())
    require_replica(lonely, "missing")
    yield app.test_client()
    require_replica(lonely, "")
    parts_of(app).database.close()


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_a_create_that_is_not_replicated_is_503_unknown(stranded, headers):
    answer = stranded.post("/v1/users", json=ANN, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (503, "commit_unknown")
    assert answer.headers["Retry-After"] == "1"


def test_a_replay_of_an_unreplicated_create_is_not_a_success_either(stranded, lonely):
    for _ in range(2):
        answer = stranded.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json["code"]) == (503, "commit_unknown")
    require_replica(lonely, "")
    answer = stranded.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 201
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert len(stranded.get("/v1/users").json["data"]) == 1


@pytest.fixture
def patient(lonely, migrate_on, tmp_path, request) -> Iterator[FlaskClient]:
    """A client of a service that waits for a primary."""
    quick = {"write_seconds": 0.5, "statement_seconds": 0.45, "lock_seconds": 0.4, "pool_wait_seconds": 0.3}
    name = f"db{abs(hash(request.node.name)) % 10**8}"
    settings = migrate_on(lonely, name, tmp_path).model_copy(update={**quick, "primary_seconds": 6})
    app = create_app(settings, CollectorRegistry())
    yield app.test_client()
    parts_of(app).database.close()


def acts(client) -> list[str]:
    """What the audit log says was done, in order."""
    read = text("SELECT action FROM audit_log ORDER BY at")
    return list(parts_of(client.application).database.read(lambda it: it.execute(read).scalars().all()))


def stranded_for_a_while(lonely, send):
    """The answer of a request that is sent while the primary has no replica, which comes back 1.5 s later."""
    require_replica(lonely, "missing")
    back = threading.Timer(1.5, require_replica, (lonely, ""))
    back.start()
    try:
        return send()
    finally:
        back.join()


def test_a_keyed_create_is_run_again_by_itself_until_it_is_replicated(lonely, patient):
    """What a client would do with the same key the service does first: one row, and a success."""
    answer = stranded_for_a_while(lonely, lambda: patient.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"}))
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    assert len(patient.get("/v1/users").json["data"]) == 1


def test_a_create_without_a_key_is_found_to_have_been_done(lonely, patient):
    answer = stranded_for_a_while(lonely, lambda: patient.post("/v1/users", json=ANN))
    assert answer.status_code == 201
    assert [row["id"] for row in patient.get("/v1/users").json["data"]] == [answer.json["data"]["id"]]
    assert acts(patient) == ["user.create"]


def test_a_change_and_a_deletion_are_done_once_and_say_so(lonely, patient):
    """Done again they would be answered 412 and 404."""
    made = patient.post("/v1/users", json=ANN)
    where, match = made.headers["Location"], {"If-Match": made.headers["ETag"]}
    changed = stranded_for_a_while(lonely, lambda: patient.put(where, json={**ANN, "name": "Anna"}, headers=match))
    assert (changed.status_code, changed.json["data"]["name"]) == (200, "Anna")
    assert patient.get(where).headers["ETag"] == changed.headers["ETag"] != made.headers["ETag"]
    gone = stranded_for_a_while(lonely, lambda: patient.delete(where, headers={"If-Match": changed.headers["ETag"]}))
    assert gone.status_code == 204
    assert acts(patient) == ["user.create", "user.change", "user.delete"]


def lose_the_first_commit(monkeypatch, meanwhile=lambda: None):
    """The first COMMIT is rolled back, something happens, and nobody hears of it; those after it are real."""
    commit, lost = core._commit, []

    def commits(connection, transaction):
        if not lost:
            lost.append(True)
            transaction.rollback()
            meanwhile()
            raise CommitUnknown("lost")
        commit(connection, transaction)

    monkeypatch.setattr(core, "_commit", commits)


def test_what_was_not_done_is_done_again(patient, monkeypatch):
    """The server went before it had committed: only the answer of COMMIT is missing."""
    lose_the_first_commit(monkeypatch)
    answer = patient.post("/v1/users", json=ANN)
    assert answer.status_code == 201
    assert [row["id"] for row in patient.get("/v1/users").json["data"]] == [answer.json["data"]["id"]]
    assert acts(patient) == ["user.create"]


def test_a_refusal_the_second_time_is_told_as_such(patient, monkeypatch):
    """Meanwhile somebody else took the address."""
    other = patient.application.test_client()
    answers = []
    lose_the_first_commit(monkeypatch, lambda: answers.append(other.post("/v1/users", json=ANN).status_code))
    assert patient.post("/v1/users", json=ANN).status_code == 409
    assert answers == [201]


def test_what_may_have_been_done_is_never_called_undone(patient, monkeypatch):
    """The question itself fails: the answer is that nobody knows, not that nothing was changed."""

    def loses(_connection, transaction):
        transaction.rollback()
        raise CommitUnknown("lost")

    def fails(*_):
        raise TookTooLong("it waits for a lock")

    monkeypatch.setattr(core, "_commit", loses)
    monkeypatch.setattr(resources, "was_done", lambda _act: fails)
    answer = patient.post("/v1/users", json=ANN)
    assert (answer.status_code, answer.json["code"]) == (503, "commit_unknown")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_who_asks_waits_for_who_has_not_ended(database, postgres, migrated, end):
    act = Act(datetime.now(UTC), "a", "b", "c", None, None)
    row = "INSERT INTO audit_log (id, at, actor, action, subject) VALUES (%s, %s, 'a', 'b', 'c')"
    with postgres.admin(migrated) as first, postgres.admin() as watcher, ThreadPoolExecutor(1) as pool:
        first.execute("BEGIN")
        first.execute(row, (act.id, act.at))
        answer = pool.submit(database.write, was_done(act))
        while watcher.execute(BLOCKED).fetchone() == (0,):
            assert not answer.done()
        first.execute(end)
        assert answer.result(10) is (end == "COMMIT")
        assert first.execute("SELECT count(*) FROM audit_log").fetchone() == (int(end == "COMMIT"),)


def test_reads_go_on_meanwhile(stranded):
    assert stranded.get("/v1/users").status_code == 200
    assert stranded.get("/readyz").status_code == 200


def test_a_replica_that_is_paused_makes_a_create_unknown_and_one_that_goes_on_makes_it_stored(
    lonely, replica_factory, migrate_on, tmp_path
):
    quick = {"write_seconds": 0.5, "statement_seconds": 0.45, "lock_seconds": 0.4, "pool_wait_seconds": 0.3}
    settings = migrate_on(lonely, "paused", tmp_path)
    with replica_factory(lonely) as replica:
        app = create_app(settings.model_copy(update=quick), CollectorRegistry())
        patient = create_app(settings, CollectorRegistry())
        with replica.admin() as admin:
            while (row := admin.execute("SELECT pid FROM pg_stat_wal_receiver").fetchone()) is None:
                pass  # it has not connected yet; the test has a timeout
        require_replica(lonely, "replica")
        keyed = {"Idempotency-Key": "k"}
        try:
            assert patient.test_client().post("/v1/courses", json={"title": "C", "seats": 1}).status_code == 201
            os.kill(row[0], signal.SIGSTOP)
            try:
                answer = app.test_client().post("/v1/users", json=ANN, headers=keyed)
            finally:
                os.kill(row[0], signal.SIGCONT)
            assert (answer.status_code, answer.json["code"]) == (503, "commit_unknown")
            answer = patient.test_client().post("/v1/users", json=ANN, headers=keyed)
            assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
        finally:
            require_replica(lonely, "")
        for one in (app, patient):
            parts_of(one).database.close()
