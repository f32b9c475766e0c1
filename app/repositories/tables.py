"""Statements that every resource needs, written once over its table. Rows leave as plain mappings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Insert,
    Select,
    Table,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.repositories.audit import Act, audited, bound_entry, entry_parameters
from app.repositories.bound import bound, given
from app.repositories.messages import Announcement, announcement_parameters, bound_announcement

Record = Mapping[str, Any]
_ROW = "row"


@dataclass(frozen=True)
class Sort:
    """One allowed order of a listing, and its index.

    Attributes:
        columns: compared in turn, all in one direction; `id` always comes last, so the order is total.
        descending: the direction.
    """

    columns: tuple[str, ...]
    descending: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns whose values say where a page ends."""
        return (*self.columns, "id")


@dataclass(frozen=True)
class Slice:
    """The part of a listing that is wanted.

    Attributes:
        columns: which columns.
        sort: in which order.
        limit: how many rows at most.
        after: the values of `sort.keys` in the last row of the page before.
        filters: column -> value that it must have.
    """

    columns: Sequence[str]
    sort: Sort
    limit: int
    after: Sequence[Any] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict[str, Any])


def get(connection: Connection, table: Table, row_id: UUID, columns: Sequence[str]) -> Record | None:
    """Return columns of a row by id."""
    row = connection.execute(_getting(table, tuple(columns)), {_ROW: row_id}).mappings().one_or_none()
    return None if row is None else dict(row)


@cache
def _getting(table: Table, columns: tuple[str, ...]) -> Select[Any]:
    return select(*(table.c[name] for name in columns)).where(table.c.id == bindparam(_ROW, type_=table.c.id.type))


def page(connection: Connection, table: Table, wanted: Slice) -> Sequence[Record]:
    """Return the rows of a slice."""
    names = dict.fromkeys([*wanted.columns, *wanted.sort.keys])  # the next cursor needs the keys
    keys = [table.c[name] for name in wanted.sort.keys]
    query = select(*(table.c[name] for name in names)).limit(wanted.limit)
    query = query.order_by(*(key.desc() if wanted.sort.descending else key.asc() for key in keys))
    query = query.where(*(table.c[name] == value for name, value in wanted.filters.items()))
    if wanted.after is not None:
        here, there = tuple_(*keys), tuple_(*wanted.after)
        query = query.where(here < there if wanted.sort.descending else here > there)
    return [dict(row) for row in connection.execute(query).mappings()]


def by_ids(connection: Connection, table: Table, ids: Sequence[UUID], columns: Sequence[str]) -> Sequence[Record]:
    """Return columns of rows by their ids, in one statement however many; those that do not exist are left out."""
    query = select(*(table.c[name] for name in columns)).where(table.c.id == any_(_array(ids)))
    return [dict(row) for row in connection.execute(query).mappings()]


def newest_of_each(
    connection: Connection, table: Table, owner: str, ids: Sequence[UUID], *, columns: Sequence[str], limit: int
) -> Sequence[Record]:
    """Return the newest rows of each owner, `limit` at most for each, in one statement however many owners."""
    owners = func.unnest(_array(ids)).table_valued(column("id", Uuid), name="owners").render_derived()
    mine = (
        select(*(table.c[name] for name in columns))
        .where(table.c[owner] == owners.c.id)
        .order_by(table.c.created_at.desc(), table.c.id.desc())
        .limit(limit)
        .lateral("mine")
    )
    query = select(mine).select_from(owners.join(mine, true()))
    return [dict(row) for row in connection.execute(query).mappings()]


def _array(ids: Sequence[UUID]) -> Any:
    return cast(list(ids), ARRAY(Uuid))


def add(connection: Connection, table: Table, values: Record, act: Act, message: Announcement | None) -> None:
    """Insert a row, its audit entry and the message about it, in one statement."""
    announced = {} if message is None else announcement_parameters(message)
    parameters = {**given(values, _ROW), **entry_parameters(act), **announced}
    connection.execute(_adding(table, tuple(values), announces=message is not None), parameters)


@cache
def _adding(table: Table, names: tuple[str, ...], *, announces: bool) -> Insert:
    statement = insert(table).values(bound(table, names, _ROW)).add_cte(bound_entry().cte("audit"))
    return statement.add_cte(bound_announcement().cte("message")) if announces else statement


def change(
    connection: Connection, table: Table, row_id: UUID, values: Record, versions: Sequence[int] | None, *, act: Act
) -> Record | None:
    """Change a row whose version is one of `versions` (None: any) and return it, or None if there is no such row.

    The audit entry is written in the same statement, also if there is no such row: the caller then rolls back.
    """
    statement = update(table).where(table.c.id == row_id)
    if versions is not None:
        statement = statement.where(table.c.version.in_(versions))
    statement = statement.values(**values, version=table.c.version + 1, updated_at=act.at)
    row = connection.execute(statement.returning(*table.c).add_cte(audited(act))).mappings().one_or_none()
    return None if row is None else dict(row)


def remove(connection: Connection, table: Table, row_id: UUID, versions: Sequence[int] | None, *, act: Act) -> bool:
    """Delete a row whose version is one of `versions` (None: any); False if there is no such row (then roll back)."""
    statement = delete(table).where(table.c.id == row_id)
    if versions is not None:
        statement = statement.where(table.c.version.in_(versions))
    return connection.execute(statement.add_cte(audited(act))).rowcount == 1
