"""Alembic calls this to run migrations on the connection that `app.migrate` hands over."""

from typing import TYPE_CHECKING, Any, cast

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, insert

from app.models import AppliedMigration, Base

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alembic.script import Script


def _record(step: MigrationInfo, by_version: str, connection: Connection) -> None:
    """Write down each revision with its phase, in the transaction that applies it."""
    for revision in cast("Iterable[Script]", step.up_revisions):
        connection.execute(
            insert(AppliedMigration).values(
                revision=revision.revision, phase=revision.module.PHASE, by_version=by_version
            )
        )


def _run() -> None:
    connection: Connection = context.config.attributes["connection"]
    by_version: str = context.config.attributes["by_version"]

    def on_version_apply(ctx: MigrationContext, step: MigrationInfo, heads: Any, run_args: Any) -> None:  # noqa: ARG001 - passed by name
        _record(step, by_version, connection)

    context.configure(connection=connection, target_metadata=Base.metadata, on_version_apply=on_version_apply)
    context.run_migrations()


_run()
