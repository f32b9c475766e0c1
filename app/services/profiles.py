"""Profiles: one for a user, made by the first PUT."""

from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Database
from app.models import Profile, table_of
from app.repositories.audit import audited, was_done
from app.repositories.tables import Record
from app.services.kinds import NO_SUCH_USER
from app.services.resources import Caller, MissingError, RefusedError, refusing

_TABLE = table_of(Profile)


def get_profile(database: Database, user_id: UUID) -> Record:
    """Return the profile of a user.

    Raises:
        MissingError: there is no such user, or no profile yet.
    """

    def work(connection: Connection) -> Record | None:
        row = connection.execute(select(_TABLE).where(_TABLE.c.user_id == user_id)).mappings().one_or_none()
        return None if row is None else dict(row)

    record = database.read(work)
    if record is None:
        raise MissingError("profile")
    return record


def put_profile(database: Database, caller: Caller, user_id: UUID, values: Record) -> Record:
    """Make or replace the profile of a user.

    Raises:
        MissingError: there is no such user.
    """
    act = caller.does("profile.put", user_id)
    fresh = insert(_TABLE).values(user_id=user_id, version=1, updated_at=act.at, **values)
    statement = (
        fresh.on_conflict_do_update(
            index_elements=["user_id"],
            set_={**values, "version": _TABLE.c.version + 1, "updated_at": act.at},
        )
        .returning(*_TABLE.c)
        .add_cte(audited(act))
    )
    try:
        return refusing(
            {"profiles_user_id_fkey": NO_SUCH_USER},
            lambda: database.write(
                lambda connection: dict(connection.execute(statement).mappings().one()), was_done=was_done(act)
            ),
        )
    except RefusedError as error:
        raise MissingError("user") from error
