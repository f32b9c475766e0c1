"""Statements over the audit log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CTE, Connection, Insert, func, insert, select
from sqlalchemy.exc import IntegrityError

from app.models import AuditEntry, table_of
from app.repositories.bound import bound, given

_PREFIX = "audit"


@dataclass(frozen=True)
class Act:
    """Something worth remembering.

    Attributes:
        id: of its entry, the same however often the work is run: it is written down once.
        at: when.
        actor: who, as `user:<id>`, `key:<prefix>` or `anonymous`.
        action: what, as `user.create`.
        subject: to what, an id.
        client_ip: from where, None for commands.
        request_id: in which request, None for commands.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    client_ip: str | None
    request_id: str | None
    id: UUID = field(default_factory=uuid4)


def entry(act: Act) -> Insert:
    """Return the statement that writes an act down; callers make it part of their own statement."""
    return insert(AuditEntry).values(**vars(act))


def audited(act: Act) -> CTE:
    """Return the same as a part of another statement: `statement.add_cte(audited(act))`."""
    return entry(act).cte("audit")


def bound_entry() -> Insert:
    """Return the same statement for any act; goes with `entry_parameters`."""
    table_of_acts = table_of(AuditEntry)
    return insert(table_of_acts).values(bound(table_of_acts, table_of_acts.c.keys(), _PREFIX))


def entry_parameters(act: Act) -> dict[str, Any]:
    """Return what `bound_entry` is executed with."""
    return given(vars(act), _PREFIX)


def was_done(act: Act) -> Callable[[Connection], bool]:
    """Return the question whether the transaction that an act is part of was committed; asking leaves no trace.

    While that one is neither committed nor rolled back the answer waits for it, as a second entry of the same id must.
    """

    def ask(connection: Connection) -> bool:
        attempt = connection.begin_nested()
        try:
            connection.execute(entry(act))
        except IntegrityError:
            attempt.rollback()
            return True
        attempt.rollback()
        return False

    return ask


def make_month(connection: Connection, month: date) -> bool:
    """Make the partition of a month (given its first day), True if it was missing.

    Rows of that month that are in the default partition already would block the new one, so they are moved. Writers
    wait meanwhile, all of them: one that had been sent to the default partition before would be refused by it after.
    A function of the owner's does it (migration 0007): who serves owns no table.
    """
    return connection.execute(select(func.make_audit_month(month))).scalar_one()
