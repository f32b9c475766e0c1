"""This version runs on the schema that the next one expands to: what a rollout and a rollback rest on.

The next schema has everything that an expand revision may bring, for every table. The controls are changes that only a
contract revision may bring: with each of them the same walk through the service fails.
"""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from app.core.parts import parts_of
from app.factory import create_app
from app.maintain import maintain
from app.migrate import Command, run
from app.migrations.phases import Outcome
from app.models import Base
from app.repositories import messages
from app.services import exports

TABLES = [table.name for table in Base.metadata.sorted_tables]
NEXT = [
    "CREATE TABLE next_things (id uuid PRIMARY KEY, user_id uuid REFERENCES users (id), name text NOT NULL)",
    *(
        statement.format(table=table)
        for table in TABLES
        for statement in (
            "ALTER TABLE {table} ADD COLUMN next_text text",
            "ALTER TABLE {table} ADD COLUMN next_number integer NOT NULL DEFAULT 7",
            "ALTER TABLE {table} ADD CONSTRAINT {table}_next CHECK (next_number > 0) NOT VALID",
            "CREATE INDEX {table}_next_index ON {table} (next_number)",
        )
        # A check that is not validated yet cannot be on a table with partitions.
        if not (table == "audit_log" and "NOT VALID" in statement)
    ),
    "INSERT INTO applied_migrations (revision, phase, by_version) VALUES ('9999', 'expand', 'next')",
]
BREAKING = [
    "ALTER TABLE users RENAME COLUMN name TO full_name",
    "ALTER TABLE messages DROP COLUMN traceparent",
    "ALTER TABLE posts ADD COLUMN next_text text NOT NULL",
    "ALTER TABLE enrolments ADD CONSTRAINT next CHECK (false) NOT VALID",
    "ALTER TABLE exports ALTER COLUMN owner TYPE integer USING 0",
    "ALTER TABLE audit_log ALTER COLUMN client_ip SET NOT NULL, ADD COLUMN next_text text NOT NULL",
    "DROP TABLE profiles",
    "INSERT INTO applied_migrations (revision, phase, by_version) VALUES ('9999', 'contract', 'next')",
]


@pytest.fixture
def changed(postgres, migrate_on, tmp_path, key_file, request):
    """Makes an application whose database was changed so."""
    made = []

    def go(statements):
        name = f"next_{len(request.node.nodeid)}_{abs(hash(request.node.nodeid)) % 10**8}"
        settings = migrate_on(postgres, name, tmp_path, signing_key_file=key_file)
        with postgres.admin(name) as admin:
            for statement in statements:
                admin.execute(statement)
        app = create_app(settings, CollectorRegistry())
        made.append((app, name))
        return app

    yield go
    for app, name in made:
        parts_of(app).database.close()
        with postgres.admin() as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def walk(app):
    """Use everything that writes or reads a table; fail at the first thing that is not as it should be."""
    client, parts = app.test_client(), parts_of(app)

    def ask(method, path, status, **kwargs):
        answer = client.open(path, method=method, **kwargs)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer

    ask("GET", "/readyz", 200)
    ann = {"name": "Ann", "email": "ann@example.test"}
    for _ in range(2):  # the second one is a replay
        made = ask("POST", "/v1/users", 201, json=ann, headers={"Idempotency-Key": "k"})
    user, place = made.json["data"]["id"], made.headers["Location"]
    ask("PATCH", place, 200, json={"name": "Anna"}, headers={"If-Match": '"v1"'})
    assert ask("GET", place, 200).json["data"]["name"] == "Anna"
    ask("PUT", f"{place}/profile", 200, json={"bio": "I learn"})
    ask("GET", f"{place}/profile", 200)
    ask("PUT", f"{place}/password", 204, json={"password": "correct horse battery"})
    body = {"email": ann["email"], "password": "correct horse battery"}
    session = ask("POST", "/v1/tokens", 200, json=body).json["data"]
    ask("POST", "/v1/tokens/refresh", 200, json={"refresh_token": session["refresh_token"]})
    key = ask("POST", "/v1/keys", 201, json={"name": "k", "scopes": ["users:read"]}).json["data"]["key"]
    ask("GET", "/v1/users", 200, headers={"X-API-Key": key})
    post = ask("POST", "/v1/posts", 201, json={"author_id": user, "title": "T", "body": "B"}).headers["Location"]
    ask("GET", f"/v1/posts?author_id={user}", 200)
    ask("DELETE", post, 204)
    course = ask("POST", "/v1/courses", 201, json={"title": "C", "seats": 1}).headers["Location"]
    ask("PUT", f"{course}/students/{user}", 201)
    ask("GET", f"{course}/students", 200)
    ask("GET", "/v1/statistics", 200)
    ask("DELETE", f"{course}/students/{user}", 204)
    export = ask("POST", "/v1/exports", 202, json={"kind": "users"}).json["data"]["id"]
    exports.build(parts.database, UUID(export), None)
    ask("GET", f"/v1/exports/{export}/content", 200)
    now = datetime.now(UTC)
    due = parts.database.write(lambda connection: messages.take_due(connection, now, 50))
    assert {it.topic for it in due} == {"user.created", "export.ordered", "export.finished"}
    assert all(parts.database.write(lambda connection, it=it: messages.close(connection, it.id)) for it in due)
    assert len(maintain(parts.database, now, seconds=60)["partitions_made"]) == 3
    ask("DELETE", place, 204)
    assert run(Command.CHECK, parts.database, parts.settings).outcome is Outcome.DONE


def test_on_the_schema_of_the_next_version_everything_works(changed):
    walk(changed(NEXT))


def test_the_next_schema_is_another_one_for_every_table():
    text = " ".join(NEXT)
    assert all(f"ALTER TABLE {table} ADD COLUMN" in text for table in TABLES)


@pytest.mark.parametrize("statement", BREAKING)
def test_what_only_a_contraction_may_do_would_be_noticed(changed, statement):
    app = changed([statement])
    with pytest.raises(Exception):  # noqa: B017, PT011 - an answer, an error of the database or a plan
        walk(app)


def test_without_any_change_the_walk_succeeds(changed):
    walk(changed([]))
