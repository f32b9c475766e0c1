import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from app_servers import OWNER
from ports import free_port

from app.core.database import Database
from app.core.database_errors import TookTooLong
from app.migrate import Command, applied_revisions, known_revisions, main, run
from app.migrations.phases import Outcome, Phase
from app.models import Base

SLOW = "SELECT pg_sleep(1.5)"


@pytest.fixture
def empty(postgres, settings_for, tmp_path, monkeypatch):
    """An empty database, and the environment that names it."""
    name = f"empty_{tmp_path.name}".lower()
    with postgres.admin() as admin:
        admin.execute(f'CREATE DATABASE "{name}" OWNER payload')
    settings = settings_for(tmp_path, postgres.url(name, OWNER))
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    yield settings
    with postgres.admin() as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def call(capsys, *arguments: str):
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.usefixtures("empty")
def test_check_expand_check_contract_on_a_new_database(capsys):
    code, report = call(capsys, "check")
    assert (code, report["outcome"]) == (3, "pending")
    assert [item["id"] for item in report["pending"]] == [revision.id for revision in known_revisions()]
    code, report = call(capsys, "expand")
    assert (code, report["outcome"], report["pending"]) == (0, "done", [])
    for command in ("check", "expand", "contract"):
        code, report = call(capsys, command)
        assert (code, report["outcome"], report["applied"]) == (0, "done", [])


def test_an_image_older_than_a_contraction_is_told_so(empty, postgres, capsys):
    assert call(capsys, "expand")[0] == 0
    with postgres.admin(f"empty_{empty.database_url_file.parent.name}".lower()) as admin:
        admin.execute("INSERT INTO applied_migrations VALUES ('9999', 'contract', '2.0.0', now())")
    for command in ("check", "expand", "contract"):
        code, report = call(capsys, command)
        assert (code, report["outcome"]) == (4, "unsafe")
        assert "9999" in report["reason"]


def test_without_a_database_it_is_an_error_with_a_reason(empty, capsys):
    empty.database_url_file.write_text(f"postgresql+psycopg://payload:only-in-tests@127.0.0.1:{free_port()}/payload")
    code, report = call(capsys, "check")
    assert (code, report["outcome"]) == (1, "error")
    assert "refused" in report["reason"]
    assert "only-in-tests" not in report["reason"]


def test_wrong_settings_are_an_error_with_a_reason(monkeypatch, capsys):
    monkeypatch.delenv("SLIPWAY_DATABASE_URL_FILE", raising=False)
    code, report = call(capsys, "check")
    assert (code, report["outcome"]) == (1, "error")
    assert "SLIPWAY_DATABASE_URL_FILE" in report["reason"]


def test_two_at_once_apply_every_revision_once(empty):
    gate = threading.Barrier(2)

    def expand(_):
        database = Database(empty)
        gate.wait(timeout=10)
        try:
            return run(Command.EXPAND, database, empty)
        finally:
            database.close()

    with ThreadPoolExecutor(2) as pool:
        plans = list(pool.map(expand, range(2)))
    assert sorted(len(plan.apply) for plan in plans) == [0, len(known_revisions())]
    assert {plan.outcome for plan in plans} == {Outcome.DONE}


QUICK = {"request_seconds": 0.9, "write_seconds": 0.6, "statement_seconds": 0.4, "lock_seconds": 0.3,
         "pool_wait_seconds": 0.2, "read_seconds": 0.5, "primary_seconds": 0.5}  # fmt: skip


def test_a_migration_may_take_longer_than_a_request_and_ends_at_its_own_limit(empty, monkeypatch):
    monkeypatch.setattr(
        "app.migrate.alembic.upgrade", lambda config, _: config.attributes["connection"].exec_driver_sql(SLOW)
    )
    monkeypatch.setattr("app.migrate.roles.give_rights", lambda _: None)  # there are no tables
    database = Database(empty.model_copy(update=QUICK))
    try:
        with pytest.raises(TookTooLong):
            database.write(lambda connection: connection.exec_driver_sql(SLOW))
        assert run(Command.EXPAND, database, empty).outcome is Outcome.DONE
        with pytest.raises(TookTooLong):
            run(Command.EXPAND, database, empty.model_copy(update={"task_seconds": 0.6}))
    finally:
        database.close()


def test_the_record_of_applied_revisions_matches_the_image(database):
    assert database.read(applied_revisions) == {revision.id: revision.phase for revision in known_revisions()}
    assert all(isinstance(revision.phase, Phase) for revision in known_revisions())


def test_the_models_and_the_migrated_schema_are_the_same(postgres, migrated):
    expected = {
        (table.name, column.name, column.nullable) for table in Base.metadata.sorted_tables for column in table.columns
    }
    with postgres.admin(migrated) as admin:
        found = {
            (table, column, nullable == "YES")
            for table, column, nullable in admin.execute(
                "SELECT table_name, column_name, is_nullable FROM information_schema.columns"
                " JOIN pg_class ON relname = table_name AND NOT relispartition"
                " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
            )
        }
        indexes = {name for (name,) in admin.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
    assert found == expected
    assert {index.name for table in Base.metadata.sorted_tables for index in table.indexes} <= indexes
