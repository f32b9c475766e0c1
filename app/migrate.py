"""`python -m app.migrate check|expand|contract [--json]`: the schema, one phase at a time.

Exit codes: 0 done or nothing to do, 3 pending (check), 4 unsafe, 1 error. docs/reference/migrations.md.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from alembic import command as alembic
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.database import Database, Source
from app.core.database_errors import CommitUnknown, Unavailable
from app.core.logs import configure_logs
from app.core.settings import Settings, SettingsError, load_settings
from app.migrations import roles
from app.migrations.phases import Command, Outcome, Phase, Plan, Revision, decide
from app.models import AppliedMigration

_ERROR = 1
_LOCK = 7_523_017_001  # any number, the same in every version: one migration at a time
_LOCK_WAIT_SECONDS = 60


def known_revisions() -> list[Revision]:
    """Return the revisions of this image, oldest first."""
    scripts = list(ScriptDirectory.from_config(_config()).walk_revisions())
    return [Revision(item.revision, Phase(item.module.PHASE), item.doc) for item in reversed(scripts)]


def applied_revisions(connection: Connection) -> dict[str, Phase]:
    """Return revision -> phase as recorded in the database; empty for a new one."""
    if connection.execute(select(func.to_regclass(AppliedMigration.__tablename__))).scalar_one() is None:
        return {}
    rows = connection.execute(select(AppliedMigration.revision, AppliedMigration.phase))
    return {revision: Phase(phase) for revision, phase in rows}


def run(command: Command, database: Database, settings: Settings) -> Plan:
    """Decide, apply what the plan says, and return the plan."""
    known = known_revisions()
    if command is Command.CHECK:
        return database.read(
            lambda connection: decide(command, known, applied_revisions(connection), roles.without_rights(connection)),
            prefer=Source.PRIMARY,
        )

    def work(connection: Connection) -> Plan:
        # Migrations may take longer than requests, but must not queue in front of them.
        connection.execute(text(f"SET LOCAL statement_timeout = '{_LOCK_WAIT_SECONDS}s'"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{settings.lock_seconds}s'"))
        plan = decide(command, known, applied_revisions(connection))
        if plan.apply:
            alembic.upgrade(_config(connection, settings.version), plan.apply[-1].id)
        if plan.outcome is Outcome.DONE and command is Command.EXPAND:
            _set_timeouts(connection, settings)
            roles.give_rights(connection)
        return plan

    return database.write(work, seconds=settings.task_seconds)


def _set_timeouts(connection: Connection, settings: Settings) -> None:
    """Make the service's time limits defaults of its database, or of its role where that is the only one.

    A pooler in transaction mode passes on neither start-up options nor SET; defaults need neither. A role may not set
    another's, but the database's if it owns that; it need not, where nobody made other roles for it.
    """
    database = sql.Identifier(connection.execute(select(func.current_database())).scalar_one())
    of = "ALTER DATABASE {}" if roles.serving_roles(connection) else "ALTER ROLE CURRENT_USER IN DATABASE {}"
    limits = {
        "statement_timeout": settings.statement_seconds,
        "lock_timeout": settings.lock_seconds,
        "idle_in_transaction_session_timeout": settings.request_seconds,
    }
    for name, seconds in limits.items():
        statement = sql.SQL(of + " SET {} = {}").format(
            database, sql.Identifier(name), sql.Literal(f"{round(seconds * 1000)}ms")
        )
        connection.exec_driver_sql(statement.as_string())


def _config(connection: Connection | None = None, by_version: str = "") -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, by_version=by_version)
    return config


def _report(command: Command, plan: Plan) -> Mapping[str, object]:
    return {
        "command": command,
        "outcome": plan.outcome,
        "exit_code": plan.outcome.exit_code,
        "reason": plan.reason,
        "applied": [vars(revision) for revision in plan.apply],
        "pending": [vars(revision) for revision in plan.pending if revision not in plan.apply],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.migrate", description=__doc__)
    parser.add_argument("command", choices=[str(command) for command in Command])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args(arguments)
    command = Command(given.command)
    report: Mapping[str, object]
    try:
        settings = load_settings()
        configure_logs(settings)
        database = Database(settings)
        try:
            plan = run(command, database, settings)
        finally:
            database.close()
        code, report = plan.outcome.exit_code, _report(command, plan)
    except (SettingsError, SQLAlchemyError, Unavailable, CommitUnknown) as error:
        code = _ERROR
        report = {"command": command, "outcome": "error", "exit_code": code, "reason": str(error.__cause__ or error)}
    text_form = f"migrate {command}: {report['outcome']}. {report['reason']}"
    sys.stdout.write((orjson.dumps(report).decode() if given.json else text_form) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
