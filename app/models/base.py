"""The declarative base: names of constraints are fixed, so that migrations and error handling can rely on them."""

from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

from sqlalchemy import DateTime, MetaData, String, Table, Uuid
from sqlalchemy.orm import DeclarativeBase, mapped_column

Identifier = Annotated[UUID, mapped_column(Uuid, primary_key=True)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Line = Annotated[str, mapped_column(String(100))]


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_index",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


def table_of(model: type[Base]) -> Table:
    """Return the table of a model; statements on hot paths need no mapped objects."""
    return cast("Table", model.__table__)
