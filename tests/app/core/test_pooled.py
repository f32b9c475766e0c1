"""Through poolers that lend a connection for one transaction: what the service promises stays true."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from app_servers import APP
from flask.testing import FlaskClient
from ports import free_port
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from app.core.database import Database
from app.core.database_errors import TookTooLong
from app.core.parts import parts_of
from app.factory import create_app

ANN = {"name": "Ann", "email": "ann@example.test"}
SIZE = 4
CALLERS = 12


@pytest.fixture(scope="module")
def stand(server_factory, replica_factory, pooler_factory, migrate_on, tmp_path_factory) -> Iterator[object]:
    """A primary with a replica, and a pooler before each."""
    make = SimpleNamespace(server=server_factory, replica=replica_factory, pooler=pooler_factory, migrate=migrate_on)
    with standing(make, tmp_path_factory.mktemp("pooled")) as made:
        yield made


@contextmanager
def standing(make, folder) -> Iterator[object]:
    with make.server() as primary:
        make.migrate(primary, "payload", folder)
        with (
            make.replica(primary) as replica,
            make.pooler(primary, size=SIZE) as writes,
            make.pooler(replica, size=SIZE) as reads,
        ):
            yield primary, replica, writes, reads


@pytest.fixture
def tools(server_factory, replica_factory, pooler_factory, migrate_on, settings_for) -> SimpleNamespace:
    """What makes servers, replicas, poolers, schemas and settings."""
    return SimpleNamespace(
        server=server_factory,
        replica=replica_factory,
        pooler=pooler_factory,
        migrate=migrate_on,
        settings=settings_for,
    )


@pytest.fixture(autouse=True)
def _emptied(stand) -> Iterator[None]:
    yield
    with stand[0].admin("payload") as admin:
        admin.execute("TRUNCATE users, idempotency_keys CASCADE")


@contextmanager
def service_over(stand, settings_for, folder, **values) -> Iterator[FlaskClient]:
    """A service behind both poolers."""
    _, _, writes, reads = stand
    settings = settings_for(
        folder,
        writes.url("payload"),
        replica_url=reads.url("payload"),
        pooled=True,
        **{"primary_seconds": 6, **values},
    )
    app = create_app(settings, CollectorRegistry())
    yield app.test_client()
    parts_of(app).database.close()


@pytest.fixture
def pooled(stand, settings_for, tmp_path) -> Iterator[FlaskClient]:
    with service_over(stand, settings_for, tmp_path) as client:
        yield client


def catch_up(primary, *replicas) -> None:
    """Wait until the replicas have replayed what the primary has written (the test has a timeout)."""
    with primary.admin() as source:
        position = source.execute("SELECT pg_current_wal_flush_lsn()").fetchone()  # more than that is not sent
    for replica in replicas:
        with replica.admin() as target:
            while target.execute("SELECT pg_last_wal_replay_lsn() >= %s", position).fetchone() != (True,):
                time.sleep(0.02)  # on few cores the replica needs this one


def stored(pooled, stand) -> str:
    """Where a user is that every server has."""
    primary, replica, *_ = stand
    location = pooled.post("/v1/users", json=ANN).headers["Location"]
    catch_up(primary, replica)
    return location


def serves_while(back_again, client, location) -> None:
    """Read and write while something comes back in a second."""
    back = threading.Timer(1.0, back_again)
    back.start()
    try:
        assert client.get(location).status_code == 200
        assert client.put(location, json=ANN).status_code == 200
    finally:
        back.join()


def test_a_killed_pooler_of_the_primary_costs_no_answer(pooled, stand):
    writes = stand[2]
    location = stored(pooled, stand)
    writes.end()
    serves_while(writes.start, pooled, location)
    writes.end()
    writes.start()  # connections of the service that died while idle
    assert pooled.put(location, json=ANN).status_code == 200


def test_without_a_pooler_of_the_primary_writes_are_503_and_reads_go_on(stand, settings_for, tmp_path):
    """The negative control of the kill: it is the waiting that makes up for it."""
    writes = stand[2]
    with service_over(stand, settings_for, tmp_path, primary_seconds=0) as impatient:
        location = stored(impatient, stand)
        writes.end()
        try:
            answer = impatient.put(location, json=ANN)
            assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
            assert answer.headers["Retry-After"] == "1"
            assert impatient.get(location).status_code == 200
        finally:
            writes.start()
        assert impatient.put(location, json=ANN).status_code == 200


def test_a_killed_pooler_of_the_replicas_costs_no_read(pooled, stand):
    reads = stand[3]
    location = stored(pooled, stand)
    assert pooled.get(location).status_code == 200
    reads.end()
    try:
        for _ in range(5):
            assert pooled.get(location).status_code == 200
    finally:
        reads.start()
    assert pooled.get(location).status_code == 200


def test_a_write_in_flight_when_its_pooler_is_killed_is_never_a_success(pooled, stand):
    """Its COMMIT may or may not have come through; with its key it is run again and is there once."""
    writes = stand[2]
    stored(pooled, stand)
    keyed = {"Idempotency-Key": "k"}
    with stand[0].admin("payload") as admin, ThreadPoolExecutor(1) as pool:
        with admin.transaction():
            admin.execute("LOCK TABLE users IN EXCLUSIVE MODE")
            waits = pool.submit(pooled.post, "/v1/users", json={**ANN, "email": "b@example.test"}, headers=keyed)
            while admin.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'payload'"
            ).fetchone() == (0,):
                pass
            writes.end()
        writes.start()
        assert waits.result().status_code == 201
        again = pooled.post("/v1/users", json={**ANN, "email": "b@example.test"}, headers=keyed)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
        assert admin.execute("SELECT count(*) FROM users WHERE email = 'b@example.test'").fetchone() == (1,)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "told-to-stop"])
def test_poolers_that_end_in_turn_under_load_fail_no_read_and_lose_no_write(pooled, stand, number):
    """What the drill `postgres-pooler` asks of a cluster: each of both ends twice, while all write and read."""
    callers, each = 4, 30
    app = pooled.application
    stopped = []

    def write_and_read(caller: int) -> list[int]:
        client, reads = app.test_client(), []
        for it in range(each):
            body, key = {"name": "Ann", "email": f"{caller}-{it}@example.test"}, {"Idempotency-Key": f"{caller}-{it}"}
            while (answer := client.post("/v1/users", json=body, headers=key)).status_code == 503:
                assert answer.headers["Retry-After"]
            assert answer.status_code == 201
            token = {"X-Consistency-Token": answer.headers.get("X-Consistency-Token", "")}
            reads.append(client.get(answer.headers["Location"], headers=token).status_code)
        return reads

    with ThreadPoolExecutor(callers) as pool:
        answers = [pool.submit(write_and_read, caller) for caller in range(callers)]
        for pooler in stand[2:] * 2:
            stopped.append(any(not it.done() for it in answers))
            pooler.end(number)
            pooler.start()
    assert [it.result() for it in answers] == [[200] * each] * callers
    assert all(stopped), "the load ended before the last fault"
    with stand[0].admin("payload") as admin:
        assert admin.execute("SELECT count(*), count(DISTINCT email) FROM users").fetchone() == (120, 120)


def test_a_server_that_stops_and_comes_back_costs_no_answer(tools, tmp_path):
    """Servers of its own: a replica that has lost its primary for a while would be late in tests after this one."""
    with standing(tools, tmp_path) as stand, service_over(stand, tools.settings, tmp_path) as client:
        primary = stand[0]
        location = stored(client, stand)
        primary.stop("fast")
        serves_while(primary.start, client, location)


def test_another_server_becomes_the_primary_behind_the_same_address(tools, tmp_path):
    """The address of the primary is a Service: it stays, and leads to another server."""
    with tools.server() as primary:
        tools.migrate(primary, "payload", tmp_path)
        with tools.replica(primary) as next_one, tools.pooler(primary) as writes:
            url = writes.url("payload")
            settings = tools.settings(tmp_path, url, pooled=True, primary_seconds=8)
            app = create_app(settings, CollectorRegistry())
            client = app.test_client()
            location = client.post("/v1/users", json=ANN).headers["Location"]
            catch_up(primary, next_one)
            next_one.stop()
            primary.stop("immediate")
            next_one.port = primary.port

            def take_over() -> None:
                next_one.start()
                next_one.run("pg_ctl", "promote", "-w", "-D", str(next_one.folder / "data"))

            change = threading.Thread(target=take_over)
            change.start()
            answer = client.put(location, json={**ANN, "name": "Anna"})
            change.join()
            assert answer.status_code == 200
            with next_one.admin("payload") as admin:
                assert admin.execute("SELECT name, pg_is_in_recovery() FROM users").fetchone() == ("Anna", False)
            parts_of(app).database.close()
            primary.port = free_port()
            primary.start()  # whoever made it stops it


@pytest.mark.parametrize("knows", [True, False], ids=["one-transaction", "each-statement-alone"])
def test_who_has_written_reads_it_though_the_pooler_has_two_replicas_and_one_is_behind(stand, tools, tmp_path, knows):
    """The replica that was asked how far it is must be the one that is read. Without that (the control) it is not."""
    primary, replica, writes, _ = stand
    tokens, seen = 6, []
    with (
        tools.replica(primary, host="127.0.0.2", port=replica.port) as second,
        # In turn, statement by statement, as it comes by chance when many ask.
        tools.pooler(replica, second, size=2, server_round_robin="1") as reads,
    ):
        settings = tools.settings(
            tmp_path,
            writes.url("payload"),
            replica_url=reads.url("payload"),
            pooled=knows,
        )
        app = create_app(settings, CollectorRegistry())
        client = app.test_client()
        location = client.post("/v1/users", json=ANN).headers["Location"]
        catch_up(primary, replica, second)
        with reads.connect("payload") as one, reads.connect("payload") as other, one.transaction():
            # The pooler must open a second connection, which is to the other one.
            ports = [it.execute("SELECT inet_server_addr()::text").fetchone() for it in (one, other)]
        assert len(set(ports)) == 2
        with second.admin() as admin:
            admin.execute("SELECT pg_wal_replay_pause()")
            for number in range(tokens):
                name = f"Anna {number}"
                written = client.put(location, json={**ANN, "name": name})
                catch_up(primary, replica)
                token = {"X-Consistency-Token": written.headers["X-Consistency-Token"]}
                seen += [client.get(location, headers=token).json["data"]["name"] == name for _ in range(4)]
            admin.execute("SELECT pg_wal_replay_resume()")
        parts_of(app).database.close()
    assert len(seen) == 4 * tokens
    assert all(seen) is knows


def sessions(admin) -> int:
    row = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'payload' AND usename = %s", (APP,)
    ).fetchone()
    return row[0]


def ended(admin) -> int:
    """End statements that another test left there, when their clients went."""
    asleep = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
    return admin.execute(asleep).fetchone()[0]


@pytest.mark.parametrize(("way", "bounds"), [("pooled", (1, SIZE)), ("direct", (CALLERS, CALLERS + SIZE))])
def test_many_connections_become_few_of_the_server(stand, settings_for, tmp_path, way, bounds):
    """`direct` is the control: the server has a connection for each caller, and those that the pooler keeps."""
    primary, _, writes, _ = stand
    url = writes.url("payload") if way == "pooled" else primary.url("payload")
    database = Database(settings_for(tmp_path, url, pooled=True, threads=CALLERS))
    ready = threading.Barrier(CALLERS)

    def work(_number: int) -> int:
        ready.wait()
        return sum(database.read(lambda it: it.execute(text("SELECT 1")).scalar_one()) for _ in range(20))

    with ThreadPoolExecutor(CALLERS) as pool, primary.admin() as admin:
        while ended(admin) or sessions(admin) > SIZE:
            pass  # those of the run before are ending; the test has a timeout
        answers = [pool.submit(work, number) for number in range(CALLERS)]
        seen = [sessions(admin)]
        while not all(it.done() for it in answers):
            seen.append(sessions(admin))
        seen.append(sessions(admin))
    assert [it.result() for it in answers] == [20] * CALLERS
    assert database.connections()["primary"] == (0, CALLERS)
    database.close()
    assert bounds[0] <= max(seen) <= bounds[1]


def test_a_cancellation_that_reaches_the_other_pooler_is_made_up_for(stand, pooler_factory, settings_for, tmp_path):
    """Two pods have one address, and only one of them knows what is to be cancelled; the socket is cut in any case."""
    primary = stand[0]
    shared = {"so_reuseport": "1"}
    with (
        pooler_factory(primary, **shared) as one,
        pooler_factory(primary, port=one.port, **shared),
    ):
        settings = settings_for(
            tmp_path,
            one.url("payload"),
            pooled=True,
            write_seconds=0.3,
            statement_seconds=0.25,
            lock_seconds=0.2,
            pool_wait_seconds=0.1,
        )
        database = Database(settings)
        for _ in range(8):
            with pytest.raises(TookTooLong):
                database.write(lambda it: it.execute(text("SELECT pg_sleep(30)")))
        assert database.write(lambda it: it.execute(text("SELECT 1")).scalar_one()) == 1
        database.close()
