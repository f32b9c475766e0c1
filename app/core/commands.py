"""A command beside the service: one piece of work on the database, and one JSON object on stdout about it."""

import sys
from collections.abc import Callable, Mapping

import orjson
from sqlalchemy.exc import SQLAlchemyError

from app.core.database import Database
from app.core.database_errors import CommitUnknown, TookTooLong, Unavailable
from app.core.logs import configure_logs
from app.core.secret_files import SecretError
from app.core.settings import Settings, SettingsError, load_settings


def run(work: Callable[[Settings, Database], Mapping[str, object]]) -> int:
    """Do the work, print `{"outcome": "done"}` with what it returns, or `"error"` with the reason; the exit code.

    Returns:
        0 done, 1 error.
    """
    try:
        settings = load_settings()
        configure_logs(settings)
        database = Database(settings)
        try:
            report = {"outcome": "done", **work(settings, database)}
        finally:
            database.close()
    except (SettingsError, SecretError, SQLAlchemyError, Unavailable, TookTooLong, CommitUnknown) as error:
        report = {"outcome": "error", "reason": str(error.__cause__ or error)}
    sys.stdout.write(orjson.dumps(report).decode() + "\n")
    return 0 if report["outcome"] == "done" else 1
