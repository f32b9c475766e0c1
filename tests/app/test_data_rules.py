"""Statements are few and use indexes; every change leaves an audit entry; replicas are read without surprises."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from app_statements import counted
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError

from app.api.crud import SURFACES
from app.api.schemas import CourseView, PostView, UserView
from app.core.parts import parts_of
from app.maintain import maintain, months_from
from app.repositories import tables
from app.repositories.audit import make_month
from app.repositories.tables import Slice
from app.services.kinds import COURSES, NEWEST_FIRST, POSTS, USERS

AUDIT_ROW = (
    "INSERT INTO audit_log (id, at, actor, action, subject, client_ip, request_id)"
    " VALUES (gen_random_uuid(), '2040-05-02', 'key:test', 'user.create', 's', '127.0.0.1', 'r')"
)
WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
ANN = {"name": "Ann", "email": "ann@example.test"}


@pytest.fixture
def warm(client):
    """A client whose pools have connections already: making one runs statements of its own."""
    client.get("/v1/users")
    client.delete("/v1/users/00000000-0000-4000-8000-000000000000")
    return client


def test_how_many_statements_each_request_runs(warm):
    with counted() as create:
        location = warm.post("/v1/users", json=ANN).headers["Location"]
    with counted() as with_key:
        warm.post("/v1/users", json={**ANN, "email": "b@example.test"}, headers={"Idempotency-Key": "k"})
    with counted() as read:
        warm.get(location)
    with counted() as index:
        warm.get("/v1/users")
    with counted() as change:
        warm.patch(location, json={"name": "Anna"}, headers={"If-Match": '"v1"'})
    with counted() as delete:
        warm.delete(location)
    counts = [len(statements) for statements in (create, with_key, read, index, change, delete)]
    assert counts == [1, 2, 1, 1, 1, 1]


def test_students_of_a_course_are_one_statement_however_many(warm):
    course = warm.post("/v1/courses", json={"title": "Rust", "seats": 9}).json["data"]["id"]
    for number in range(4):
        body = {"name": f"U{number}", "email": f"u{number}@example.test"}
        user = warm.post("/v1/users", json=body).json["data"]["id"]
        warm.put(f"/v1/courses/{course}/students/{user}")
    with counted() as statements:
        assert len(warm.get(f"/v1/courses/{course}/students").json["data"]) == 4
    assert len(statements) == 1


def seed(admin: psycopg.Connection) -> None:
    admin.execute(
        "INSERT INTO users SELECT gen_random_uuid(), 'n' || n, n || '@example.test', 1,"
        " now() - n * interval '1 s', now() FROM generate_series(1, 5000) n"
    )
    admin.execute(
        "INSERT INTO posts SELECT gen_random_uuid(), id, name, '', 1, created_at, now() FROM users"
        " CROSS JOIN generate_series(1, 2)"
    )
    admin.execute(
        "INSERT INTO courses SELECT gen_random_uuid(), 'c' || n, 9, 0, 1, now() - n * interval '1 s', now()"
        " FROM generate_series(1, 5000) n"
    )
    admin.execute("ANALYZE users, posts, courses")


def plans_of(postgres, migrated, kind):
    """The plan of every list that a kind allows: each order, first and later pages, and each filter."""
    statements: list[str] = []

    class Recorder:
        def execute(self, query):
            compiled = query.compile(dialect=postgresql.psycopg.dialect(), compile_kwargs={"literal_binds": True})
            statements.append(str(compiled))
            return self

        def mappings(self):
            return []

    for sort in kind.sorts.values():
        values = [
            {datetime: datetime.now(UTC), UUID: uuid4()}.get(kind.table.c[name].type.python_type, "n7")
            for name in sort.keys
        ]
        for after in (None, values):
            tables.page(Recorder(), kind.table, Slice(kind.fields, sort, 20, after))
    for name in kind.filters:
        tables.page(Recorder(), kind.table, Slice(kind.fields, NEWEST_FIRST, 20, None, {name: uuid4()}))
        tables.newest_of_each(Recorder(), kind.table, name, [uuid4(), uuid4()], columns=kind.fields, limit=10)
    tables.by_ids(Recorder(), kind.table, [uuid4(), uuid4()], kind.fields)
    with postgres.admin(migrated) as admin:
        seed(admin)
        for statement in statements:
            rows = admin.execute(f"EXPLAIN {statement}".replace("%%", "%")).fetchall()
            yield statement, "\n".join(line for (line,) in rows)


@pytest.mark.parametrize("kind", [USERS, POSTS, COURSES], ids=lambda kind: kind.name)
@pytest.mark.usefixtures("settings")
def test_no_list_reads_a_whole_table(postgres, migrated, kind):
    for statement, plan in plans_of(postgres, migrated, kind):
        assert "Seq Scan" not in plan, (statement, plan)
        # A filter may leave so few rows that Postgres rather sorts them.
        assert "Sort" not in plan or "author_id = " in plan, (statement, plan)


def test_kinds_show_what_the_documented_views_promise():
    assert {surface.kind.name: tuple(surface.kind.fields) for surface in SURFACES} == {
        "user": tuple(UserView.model_fields),
        "post": tuple(PostView.model_fields),
        "course": tuple(CourseView.model_fields),
    }


def test_every_change_leaves_an_audit_entry_and_a_failed_one_none(client, postgres, migrated):
    answer = client.post("/v1/users", json=ANN, headers={"X-Request-ID": "r-1"})
    location = answer.headers["Location"]
    client.post("/v1/users", json=ANN)
    client.patch(location, json={"name": "x"}, headers={"If-Match": '"v7"'})
    client.delete(location)
    client.delete(location)
    with postgres.admin(migrated) as admin:
        rows = admin.execute(
            "SELECT action, subject, actor, client_ip, request_id FROM audit_log ORDER BY at"
        ).fetchall()
    subject = location.rpartition("/")[2]
    assert [row[:2] for row in rows] == [("user.create", subject), ("user.delete", subject)]
    assert rows[0][2:] == ("key:bootstrap", "127.0.0.1", "r-1")


def test_maintenance_makes_months_once_moves_rows_and_forgets_old_keys(client, postgres, migrated):
    database = parts_of(client.application).database
    client.post("/v1/users", json=ANN, headers={"Idempotency-Key": "old"})
    client.post("/v1/exports", json={"kind": "users"})
    now = datetime.now(UTC)
    with postgres.admin(migrated) as admin:
        assert admin.execute("SELECT count(*) FROM audit_log_rest").fetchone() == (2,)
        first = maintain(database, now + timedelta(hours=25), seconds=60)
        assert (first["keys_forgotten"], first["exports_forgotten"]) == (1, 1)
        assert len(first["partitions_made"]) == 3
        assert maintain(database, now + timedelta(hours=25), seconds=60) == {
            "partitions_made": [],
            "keys_forgotten": 0,
            "exports_forgotten": 0,
        }
        assert admin.execute("SELECT count(*) FROM audit_log").fetchone() == (2,)


def test_who_writes_while_a_month_is_made_waits_and_is_not_refused(client, postgres, migrated):
    """The row was on its way to the default partition, which then takes none of that month any more."""
    database = parts_of(client.application).database
    with postgres.admin(migrated) as writer, postgres.admin(migrated) as watcher, ThreadPoolExecutor(1) as pool:

        def work(connection):
            assert make_month(connection, date(2040, 5, 1))
            written = pool.submit(writer.execute, AUDIT_ROW)
            deadline = time.monotonic() + 10
            while watcher.execute(WAITS, (writer.info.backend_pid,)).fetchone() != (True,):
                assert time.monotonic() < deadline, "the writer waits for nothing"
            return written

        try:
            database.write(work, seconds=20).result(10)
            assert watcher.execute("SELECT count(*) FROM audit_log_2040_05").fetchone() == (1,)
        finally:
            watcher.execute("DROP TABLE IF EXISTS audit_log_2040_05")


def test_maintenance_gives_up_rather_than_let_writers_wait_behind_it(client, postgres, migrated):
    database = parts_of(client.application).database
    with postgres.admin(migrated) as admin, admin.transaction():
        admin.execute("LOCK TABLE audit_log IN ROW EXCLUSIVE MODE")
        with pytest.raises(OperationalError, match="lock timeout"):
            maintain(database, datetime(2041, 1, 1, tzinfo=UTC), seconds=60)
        assert admin.execute("SELECT to_regclass('audit_log_2041_01')").fetchone() == (None,)
    client.post("/v1/users", json=ANN)


def test_months_go_over_the_end_of_the_year():
    assert months_from(date(2026, 11, 30)) == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]
