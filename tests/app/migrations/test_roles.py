"""Who serves has rights to rows alone; who migrates gives them (docs/adr/0115)."""

import json
from datetime import date

import psycopg
import pytest
from app_servers import APP, OWNER, READER, make_database
from sqlalchemy.exc import ProgrammingError

from app.core.database import Database
from app.migrate import main
from app.repositories.audit import make_month

#: Each is right for somebody, and neither for who serves nor for who reads.
FORBIDDEN = [
    "CREATE TABLE mine (id int)",
    "ALTER TABLE users ADD COLUMN mine int",
    "DROP TABLE enrolments",
    "TRUNCATE enrolments",
    "UPDATE audit_log SET actor = 'somebody else'",
    "DELETE FROM audit_log",
    "DELETE FROM audit_log_rest",
    "UPDATE alembic_version SET version_num = '0001'",
    "INSERT INTO applied_migrations VALUES ('9999', 'contract', '2.0.0', now())",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COPY users TO PROGRAM 'cat'",
    f"ALTER ROLE {OWNER} PASSWORD 'mine'",
    f"SET ROLE {OWNER}",
]
CHANGES = [
    "INSERT INTO audit_log (id, at, actor, action, subject) VALUES (gen_random_uuid(), now(), 'a', 'b', 'c')",
    "UPDATE users SET name = 'Anna'",
    "DELETE FROM users",
    "SELECT make_audit_month('2041-02-01')",
]
RIGHT = psycopg.errors.InsufficientPrivilege


def session(server, name, role):
    return psycopg.connect(server.url(name, role).replace("+psycopg", ""), autocommit=True)


@pytest.fixture
def own(postgres, settings_for, tmp_path, monkeypatch):
    """The name of a database of this test's own, empty; the environment names it, and its owner."""
    name = f"roles_{tmp_path.name}".lower()
    make_database(postgres, name)
    settings = settings_for(tmp_path, postgres.url(name, OWNER))
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    yield name
    with postgres.admin() as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def expand(own, capsys):
    """Runs `migrate` with a command; returns exit code and report."""
    assert own

    def run(command="expand"):
        code = main([command, "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.mark.parametrize("role", [APP, READER])
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_who_serves_may_not(postgres, own, expand, role, statement):
    assert expand()[0] == 0
    with session(postgres, own, role) as connection, pytest.raises(RIGHT):
        connection.execute(statement)
    if "PROGRAM" not in statement and "ROLE" not in statement:  # the control: it is a right, and the owner's
        with session(postgres, own, OWNER) as connection:
            connection.execute(statement)


@pytest.mark.parametrize("statement", CHANGES)
def test_who_serves_changes_rows_and_who_reads_does_not(postgres, own, expand, statement):
    assert expand()[0] == 0
    with session(postgres, own, READER) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        with pytest.raises(RIGHT):
            connection.execute(statement)
    with session(postgres, own, APP) as connection:
        connection.execute(statement)


def test_rights_that_are_missing_are_pending_until_they_are_given(postgres, own, expand):
    """As when the roles were made after the tables."""
    assert expand()[0] == 0
    assert expand("check")[0] == 0
    with postgres.admin(own) as admin:
        admin.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {READER}")
    code, report = expand("check")
    assert (code, report["outcome"], report["pending"]) == (3, "pending", [])
    assert READER in report["reason"]
    assert APP not in report["reason"]
    assert expand()[0] == 0
    assert expand("check")[0] == 0


def test_limits_are_of_the_database_so_that_every_role_has_them(postgres, own, expand):
    assert expand()[0] == 0
    for role in (OWNER, APP, READER):
        with session(postgres, own, role) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("4s",)


def test_where_the_owner_serves_the_limits_are_its_own(postgres, own, settings_for, tmp_path):
    """A database of somebody else's, in which the service's role owns tables and nothing more."""
    with postgres.admin(own) as admin:
        admin.execute("CREATE ROLE lonely LOGIN PASSWORD 'only-in-tests'")
        admin.execute("GRANT ALL ON SCHEMA public TO lonely")
    settings_for(tmp_path, postgres.url(own, "lonely"))  # the same file, with another login
    try:
        assert main(["expand"]) == 0
        assert main(["check"]) == 0
        with session(postgres, own, "lonely") as connection, session(postgres, own, OWNER) as other:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("4s",)
            assert other.execute("SHOW statement_timeout").fetchone() == ("0",)
    finally:
        with postgres.admin(own) as admin:
            admin.execute("DROP OWNED BY lonely")
            admin.execute("DROP ROLE lonely")


def test_a_month_begins_with_its_first_day(database: Database):
    with pytest.raises(ProgrammingError, match="2041-02-02 is not the first day of a month"):
        database.write(lambda it: make_month(it, date(2041, 2, 2)))
