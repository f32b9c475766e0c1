"""Reads survive the loss of either server; writes are refused with 503 until the primary is back."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context

import httpx
import pytest
from flask.testing import FlaskClient
from ports import free_port
from prometheus_client import CollectorRegistry

from app.core.parts import parts_of
from app.core.turns import Asked
from app.factory import create_app

ANN = {"name": "Ann", "email": "ann@example.test"}


@pytest.fixture(scope="module")
def pair(server_factory, replica_factory, migrate_on, tmp_path_factory) -> Iterator[object]:
    with server_factory() as primary:
        migrate_on(primary, "payload", tmp_path_factory.mktemp("pair"))
        with replica_factory(primary) as replica:
            yield primary, replica


def catch_up(primary, replica) -> None:
    """Wait until the replica has replayed what the primary has written (the test has a timeout)."""
    with primary.admin() as source, replica.admin() as target:
        position = source.execute("SELECT pg_current_wal_lsn()").fetchone()
        while target.execute("SELECT pg_last_wal_replay_lsn() >= %s", position).fetchone() != (True,):
            pass


@contextmanager
def service_over(pair, settings_for, folder, **values) -> Iterator[FlaskClient]:
    """A service on both servers; it leaves their tables empty."""
    primary, replica = pair
    settings = settings_for(folder, primary.url("payload"), replica_url=replica.url("payload"), **values)
    app = create_app(settings, CollectorRegistry())
    yield app.test_client()
    parts_of(app).database.close()
    with primary.admin("payload") as admin:
        admin.execute("TRUNCATE users, idempotency_keys CASCADE")


@pytest.fixture
def paired(pair, settings_for, tmp_path) -> Iterator[FlaskClient]:
    with service_over(pair, settings_for, tmp_path) as client:
        yield client


def test_reads_fall_back_to_the_primary_and_return_to_the_replica(paired, pair):
    _, replica = pair
    assert paired.get("/v1/users").status_code == 200  # a pooled connection that is about to die
    replica.stop("immediate")
    try:
        created = paired.post("/v1/users", json=ANN)
        assert created.status_code == 201
        for _ in range(3):
            assert paired.get(created.headers["Location"]).status_code == 200
        assert paired.get("/readyz").status_code == 200
    finally:
        replica.start()
    assert paired.get(created.headers["Location"]).status_code == 200


def test_without_a_primary_reads_go_on_and_writes_are_503(paired, pair):
    primary, replica = pair
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    primary.stop("fast")
    try:
        assert paired.get(location).json["data"]["name"] == "Ann"
        assert paired.get("/readyz").status_code == 200
        for call in (paired.put, paired.patch):
            answer = call(location, json=ANN)
            assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
            assert answer.headers["Retry-After"] == "1"
        assert paired.delete(location).status_code == 503
    finally:
        primary.start()
    assert paired.put(location, json=ANN).status_code == 200


@pytest.fixture
def patient(pair, settings_for, tmp_path) -> Iterator[FlaskClient]:
    """A service that waits for its primary."""
    with service_over(pair, settings_for, tmp_path, primary_seconds=6) as client:
        yield client


def test_a_write_waits_for_the_primary_that_comes_back(patient, pair):
    primary, _ = pair
    location = patient.post("/v1/users", json=ANN).headers["Location"]
    primary.stop("fast")
    back = threading.Timer(1.0, primary.start)
    back.start()
    try:
        assert patient.put(location, json=ANN).status_code == 200
    finally:
        back.join()


def test_a_read_waits_while_no_server_answers(patient, pair):
    primary, replica = pair
    location = patient.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    primary.stop("fast")
    replica.stop("fast")
    back = threading.Timer(1.0, replica.start)
    back.start()
    try:
        assert patient.get(location).status_code == 200
    finally:
        back.join()
        primary.start()


def test_a_write_waits_while_its_server_is_no_primary(patient, pair):
    primary, _ = pair
    location = patient.post("/v1/users", json=ANN).headers["Location"]
    with primary.admin() as admin:
        admin.execute("ALTER DATABASE payload SET default_transaction_read_only = on")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'payload'")

        def promote() -> None:
            with primary.admin() as other:
                other.execute("ALTER DATABASE payload RESET default_transaction_read_only")

        back = threading.Timer(1.0, promote)
        back.start()
        assert patient.put(location, json=ANN).status_code == 200
        back.join()


@pytest.mark.usefixtures("patient")  # which leaves the table empty
def test_while_writes_wait_reads_go_on_and_no_more_wait_than_may(pair, settings_for, tmp_path, serve_with):
    primary, replica = pair
    settings = settings_for(tmp_path, primary.url("payload"), replica_url=replica.url("payload"))
    values = {
        "SLIPWAY_REPLICA_URL_FILE": str(settings.replica_url_file),
        "SLIPWAY_THREADS": "2", "SLIPWAY_WAITING": "4", "SLIPWAY_PRIMARY_SECONDS": "8", "SLIPWAY_DRAIN_SECONDS": "0",
    }  # fmt: skip
    with (
        serve_with(settings, **values) as running,
        httpx.Client(base_url=running.api, headers=running.key, timeout=20) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        location = client.post("/v1/users", json=ANN).headers["Location"]
        catch_up(primary, replica)
        primary.stop("fast")
        try:
            writes = [pool.submit(client.put, location, json=ANN) for _ in range(12)]
            reads = [client.get(location).status_code for _ in range(20)]
            waiting = sum(not it.done() for it in writes)
        finally:
            primary.start()
        answers = [it.result().status_code for it in writes]
    assert reads == [200] * 20
    assert waiting == 4
    assert sorted(answers) == [200] * 4 + [503] * 8


def reading(client: httpx.Client, location: str, *, seconds: float) -> Iterator[None]:
    """Read for a while; each read must be answered."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert client.get(location).status_code == 200
        yield


@pytest.mark.usefixtures("patient")  # which leaves the table empty
def test_of_those_who_wait_two_at_most_ask_whether_commits_are_acknowledged(pair, settings_for, tmp_path, serve_with):
    """A primary takes writes before a replica follows it: whoever sends it a COMMIT then hangs, and keeps a turn."""
    primary, replica = pair
    settings = settings_for(tmp_path, primary.url("payload"), replica_url=replica.url("payload"))
    values = {
        "SLIPWAY_REPLICA_URL_FILE": str(settings.replica_url_file),
        "SLIPWAY_THREADS": "3", "SLIPWAY_WAITING": "8", "SLIPWAY_PRIMARY_SECONDS": "58",
        "SLIPWAY_REQUEST_SECONDS": "59", "SLIPWAY_DRAIN_SECONDS": "0",
    }  # fmt: skip
    hung = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = 'payload'"
    with (
        serve_with(settings, **values) as running,
        httpx.Client(base_url=running.api, headers=running.key, timeout=60) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        location = client.post("/v1/users", json=ANN).headers["Location"]
        catch_up(primary, replica)
        # Not by a server that stops and starts: where that takes long, those who wait are told so meanwhile.
        with primary.admin() as admin:
            admin.execute("SET synchronous_commit = local")
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("ALTER DATABASE payload SET default_transaction_read_only = on")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'payload'")
            writes = [pool.submit(client.put, location, json=ANN) for _ in range(6)]
            for _ in reading(client, location, seconds=1):  # time for all six to find no primary, and for the setting
                pass
            admin.execute("ALTER DATABASE payload RESET default_transaction_read_only")
            while admin.execute(hung).fetchone() == (0,):  # somebody asks; the test has a timeout
                pass
            late = [pool.submit(client.put, location, json=ANN) for _ in range(2)]
            seen: set[object] = set()
            for _ in reading(client, location, seconds=6):  # longer than one look
                seen.update(admin.execute(hung).fetchone() or ())
            unanswered = sum(not it.done() for it in (*writes, *late))
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
        answers = [it.result().status_code for it in (*writes, *late)]
    assert max(seen) == 2
    assert unanswered == 8
    assert answers == [200] * 8


def test_a_write_on_connections_that_died_while_idle_is_run_again(paired, pair):
    primary, _ = pair
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    primary.stop("fast")
    primary.start()
    assert paired.put(location, json=ANN).status_code == 200


def test_a_primary_that_became_read_only_is_503(paired, pair):
    primary, _ = pair
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    with primary.admin() as admin:
        admin.execute("ALTER DATABASE payload SET default_transaction_read_only = on")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'payload'")
        try:
            answer = paired.put(location, json=ANN)
            assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
            assert paired.get(location).status_code == 200
        finally:
            admin.execute("ALTER DATABASE payload RESET default_transaction_read_only")
    assert paired.put(location, json=ANN).status_code == 200


@contextmanager
def frozen(server, database):
    """Every process of a server that serves this database is stopped, as a hung machine would be."""
    with server.admin() as admin:
        rows = admin.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [database]).fetchall()
    postmaster = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    processes = [postmaster, *(pid for (pid,) in rows)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_reads_survive_a_replica_that_hangs(pair, settings_for, tmp_path):
    primary, replica = pair
    quick = settings_for(tmp_path, primary.url("payload"), replica_url=replica.url("payload"), read_seconds=0.3)
    app = create_app(quick, CollectorRegistry())
    client = app.test_client()
    assert client.get("/v1/users").status_code == 200
    with frozen(replica, "payload"):
        assert client.get("/v1/users").status_code == 200
    parts_of(app).database.close()


def feed(replica, primary_conninfo: str, *, fed: bool) -> None:
    """Say whom a replica follows, and wait until it does, or does not any more (the test has a timeout)."""
    with replica.admin() as admin:
        admin.execute(f"ALTER SYSTEM SET primary_conninfo = '{primary_conninfo.replace(chr(39), chr(39) * 2)}'")
        admin.execute("SELECT pg_reload_conf()")
        while admin.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone() != (int(fed),):
            time.sleep(0.05)


@pytest.mark.parametrize(("follows_seconds", "name"), [(0.2, "Anna"), (3600.0, "Ann")])
def test_a_replica_that_has_ceased_to_follow_is_not_asked(paired, pair, monkeypatch, follows_seconds, name):
    primary, replica = pair
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    monkeypatch.setattr("app.core.database._FOLLOWS_SECONDS", follows_seconds)
    monkeypatch.setattr("app.core.database._LOOK_SECONDS", 0.0)
    with replica.admin() as admin:
        (before,) = admin.execute("SHOW primary_conninfo").fetchone()
    feed(replica, "host=127.0.0.1 port=1", fed=False)
    try:
        assert paired.patch(location, json={"name": "Anna"}).status_code == 200
        time.sleep(0.5)
        answer = paired.get(location)
        assert answer.json["data"]["name"] == name
        primary.stop("fast")
        try:
            # Old, and it says so: better than none.
            late = paired.get(location)
            assert (late.status_code, late.json["data"]["name"]) == (200, "Ann")
            assert late.headers.get("X-Consistency-Stale") == ("true" if name == "Anna" else None)
            # A probe belongs to no request; a process that answers reads is ready, however long there is no primary.
            Context().run(parts_of(paired.application).database.check)
        finally:
            primary.start()
    finally:
        feed(replica, before, fed=True)
    catch_up(primary, replica)
    assert paired.get(location).json["data"]["name"] == "Anna"


def test_sessions_of_a_replica_that_ended_while_idle_are_not_used_again(paired, pair, monkeypatch):
    primary, replica = pair
    monkeypatch.setattr("app.core.database._LOOK_SECONDS", 0.0)  # the first thing that is asked on them
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    assert paired.get(location).status_code == 200
    primary.stop("fast")
    try:
        with replica.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'payload'")
        assert [paired.get(location).status_code for _ in range(3)] == [200, 200, 200]
    finally:
        primary.start()


def took(client: FlaskClient, status: int, *, waited: float = 0.0) -> float:
    """Seconds of a write that has a turn, and whose request came `waited` seconds ago."""
    parts, statuses, begun = parts_of(client.application), [], time.monotonic()
    asked = Asked(begun + parts.settings.request_seconds - waited, "/v1/users")
    parts.turns.run(asked, lambda path: statuses.append(client.post(path, json=ANN).status_code))
    assert statuses == [status]
    return time.monotonic() - begun


def test_what_has_waited_for_its_turn_waits_less_for_a_primary(pair, settings_for, tmp_path):
    primary, _ = pair
    with service_over(pair, settings_for, tmp_path, primary_seconds=6) as client:
        primary.stop("fast")
        try:
            assert took(client, 503, waited=4.0) < took(client, 503) - 3.0
        finally:
            primary.start()


def test_a_write_to_a_primary_that_hangs_is_503_in_time(pair, settings_for, tmp_path):
    primary, _ = pair
    quick = settings_for(
        tmp_path,
        primary.url("payload"),
        write_seconds=0.4,
        statement_seconds=0.3,
        lock_seconds=0.2,
        pool_wait_seconds=0.1,
    )
    app = create_app(quick, CollectorRegistry())
    client = app.test_client()
    assert client.delete("/v1/users/00000000-0000-4000-8000-000000000000").status_code == 404
    with frozen(primary, "payload"):
        answer = client.post("/v1/users", json=ANN)
    assert (answer.status_code, answer.json["code"]) == (503, "database_slow")
    parts_of(app).database.close()


def test_with_no_server_at_all_reads_are_503_and_only_liveness_holds(settings_for, tmp_path):
    url = f"postgresql+psycopg://payload:only-in-tests@127.0.0.1:{free_port()}/payload"
    app = create_app(settings_for(tmp_path, url, replica_url=url), CollectorRegistry())
    client = app.test_client()
    assert client.get("/v1/users").json["code"] == "database_unavailable"
    assert client.get("/readyz").json["code"] == "not_ready"
    assert client.get("/livez").status_code == 200


def test_a_rotated_password_is_used_by_the_next_connection(postgres, migrated, settings_for, tmp_path):
    dead = f"postgresql+psycopg://payload:only-in-tests@127.0.0.1:{free_port()}/payload"
    settings = settings_for(tmp_path, dead)
    app = create_app(settings, CollectorRegistry())
    assert app.test_client().get("/v1/users").status_code == 503
    settings.database_url_file.write_text(postgres.url(migrated))
    assert app.test_client().get("/v1/users").status_code == 200
    parts_of(app).database.close()


def test_when_every_connection_is_busy_requests_are_shed_and_readiness_stays(
    settings_for, postgres, migrated, tmp_path
):
    settings = settings_for(tmp_path, postgres.url(migrated), threads=1, pool_wait_seconds=0.05)
    app = create_app(settings, CollectorRegistry())

    def ask_meanwhile(_):
        client = app.test_client()
        return client.get("/v1/users"), client.get("/readyz")

    listing, ready = parts_of(app).database.read(ask_meanwhile)
    assert (listing.status_code, listing.json["code"]) == (503, "overloaded")
    assert ready.status_code == 200
    parts_of(app).database.close()


def test_a_statement_over_its_limit_is_503(client, postgres, migrated, settings):
    app = client.application
    location = client.post("/v1/users", json=ANN).headers["Location"]
    with postgres.admin(migrated) as admin:
        limit = admin.execute(
            "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = %s",
            [migrated],
        ).fetchone()
        assert limit is not None
        assert f"statement_timeout={int(settings.statement_seconds * 1000)}ms" in limit[0]
        admin.execute("ALTER ROLE payload IN DATABASE payload SET lock_timeout = '50ms'")
        parts_of(app).database.close()
        try:
            with admin.transaction():
                admin.execute("SELECT 1 FROM users FOR UPDATE")
                answer = client.put(location, json=ANN)
        finally:
            milliseconds = int(settings.lock_seconds * 1000)
            admin.execute(f"ALTER ROLE payload IN DATABASE payload SET lock_timeout = '{milliseconds}ms'")
    assert (answer.status_code, answer.json["code"]) == (503, "database_slow")


def pause_replay(replica, *, paused: bool) -> None:
    with replica.admin() as admin:
        admin.execute(f"SELECT pg_wal_replay_{'pause' if paused else 'resume'}()")


def test_a_client_with_a_token_reads_its_own_writes_though_the_replica_is_behind(paired, pair):
    primary, replica = pair
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    pause_replay(replica, paused=True)
    try:
        token = paired.put(location, json={**ANN, "name": "Anna"}).headers["X-Consistency-Token"]
        old = paired.get(location)
        assert old.json["data"]["name"] == "Ann"  # the negative control: without the token the replica answers
        assert "X-Consistency-Token" not in old.headers
        new = paired.get(location, headers={"X-Consistency-Token": token})
        assert new.json["data"]["name"] == "Anna"
        fresh = paired.post("/v1/users", json={**ANN, "email": "b@example.test"}).headers["Location"]
        assert paired.get(fresh).status_code == 200  # not found on the replica: the primary is asked
    finally:
        pause_replay(replica, paused=False)
    catch_up(primary, replica)
    assert paired.get(location, headers={"X-Consistency-Token": token}).json["data"]["name"] == "Anna"


def test_an_old_answer_is_better_than_none_and_says_so(paired, pair):
    primary, replica = pair
    location = paired.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    primary.stop("fast")
    try:
        answer = paired.get(location, headers={"X-Consistency-Token": "FFFFFFFF/0"})
        assert answer.status_code == 200
        assert answer.headers["X-Consistency-Stale"] == "true"
    finally:
        primary.start()


def test_a_token_that_is_not_one_is_ignored(client):
    assert client.get("/v1/users", headers={"X-Consistency-Token": "'; DROP TABLE users"}).status_code == 200


def test_nobody_waits_for_a_primary_that_has_been_away_for_long_and_it_is_found_all_the_same(
    pair, settings_for, tmp_path, monkeypatch
):
    primary, _ = pair
    with service_over(pair, settings_for, tmp_path, primary_seconds=4) as client:
        primary.stop("fast")
        try:
            usual = took(client, 503)
            monkeypatch.setattr("app.core.waiting._CHANGE_SECONDS", 0.0)
            assert took(client, 503) < usual - 3.0
        finally:
            primary.start()
        took(client, 201)
