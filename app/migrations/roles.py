"""Rights of the roles that serve. The owner of the tables migrates and gives them, at each `expand`.

Roles are known by the owner's name: `<owner>_app` reads and writes rows, `<owner>_reader` reads them. Whoever makes the
database makes the roles (docs/adr/0115); where there are none, the owner serves too.
"""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql
from sqlalchemy import Connection, text

# Who serves learns from these which migrations have run, and must not change that.
_READ_ALONE = ("alembic_version", "applied_migrations")
# What was done stays written down.
_APPENDED = ("audit_log",)
_MAKES_MONTHS = sql.SQL("make_audit_month(date)")

_ROLES = text(
    "SELECT rolname FROM pg_roles WHERE rolname IN (current_user || '_app', current_user || '_reader') ORDER BY rolname"
)
# Partitions are reached through their table, whose rights count; what an extension has brought is not the owner's.
_TABLES = text(
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    " AND NOT relispartition AND pg_get_userbyid(relowner) = current_user ORDER BY relname"
)
_LACKING = text(
    "SELECT DISTINCT role FROM unnest(CAST(:roles AS text[])) role, unnest(CAST(:tables AS text[])) name"
    " WHERE NOT has_table_privilege(role, format('public.%I', name), 'SELECT') ORDER BY role"
)


def serving_roles(connection: Connection) -> Sequence[str]:
    """Return the roles that serve beside the owner, by name."""
    return connection.execute(_ROLES).scalars().all()


def without_rights(connection: Connection) -> Sequence[str]:
    """Return those of them that lack a right that the next `expand` would give."""
    asked = {"roles": list(serving_roles(connection)), "tables": list(_tables(connection))}
    return connection.execute(_LACKING, asked).scalars().all()


def give_rights(connection: Connection) -> None:
    """Give each of them its rights to what there is now; may be repeated."""
    tables = _tables(connection)
    for role in serving_roles(connection):
        to = sql.SQL(" TO ") + sql.Identifier(role)
        for statement in _for_app(tables) if role.endswith("_app") else _for_reader(tables):
            connection.exec_driver_sql((sql.SQL("GRANT ") + statement + to).as_string())


def _tables(connection: Connection) -> Sequence[str]:
    return connection.execute(_TABLES).scalars().all()


def _for_reader(tables: Sequence[str]) -> list[sql.Composable]:
    return [sql.SQL("USAGE ON SCHEMA public"), _on(tables, "SELECT")]


def _for_app(tables: Sequence[str]) -> list[sql.Composable]:
    changed = [table for table in tables if table not in {*_READ_ALONE, *_APPENDED}]
    return [
        *_for_reader(tables),
        _on(_APPENDED, "INSERT"),
        _on(changed, "INSERT, UPDATE, DELETE"),
        sql.SQL("EXECUTE ON FUNCTION ") + _MAKES_MONTHS,
    ]


def _on(tables: Sequence[str], rights: LiteralString) -> sql.Composable:
    return sql.SQL("{} ON {}").format(sql.SQL(rights), sql.SQL(", ").join(map(sql.Identifier, tables)))
