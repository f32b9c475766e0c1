"""A commit whose wait for the synchronous replica was cancelled is never a success."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from app.core.parts import parts_of
from app.factory import create_app

ANN = {"name": "Ann", "email": "ann@example.test"}


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


def test_a_keyed_create_is_run_again_by_itself_until_it_is_replicated(lonely, migrate_on, tmp_path):
    """What a client would do with the same key the service does first: one row, and a success."""
    quick = {"write_seconds": 0.5, "statement_seconds": 0.45, "lock_seconds": 0.4, "pool_wait_seconds": 0.3}
    settings = migrate_on(lonely, "again", tmp_path).model_copy(update={**quick, "primary_seconds": 6})
    app = create_app(settings, CollectorRegistry())
    require_replica(lonely, "missing")
    back = threading.Timer(1.5, require_replica, (lonely, ""))
    back.start()
    try:
        answer = app.test_client().post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
    finally:
        back.join()
    assert (answer.status_code, answer.headers["Idempotency-Replayed"]) == (201, "true")
    assert len(app.test_client().get("/v1/users").json["data"]) == 1
    parts_of(app).database.close()


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
