"""Exports: lists that a worker writes into one file, to be fetched for a while."""

from datetime import datetime

from sqlalchemy import DateTime, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Line, Moment


class Export(Base):
    """What was asked for, how far it is, and at the end the file. `version` counts the steps."""

    __tablename__ = "exports"

    id: Mapped[Identifier]
    owner: Mapped[Line]
    kind: Mapped[str] = mapped_column(String(20))
    form: Mapped[str] = mapped_column(String(10))
    rows: Mapped[int]
    version: Mapped[int]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    done_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    content: Mapped[bytes | None] = mapped_column(LargeBinary)


Index("exports_expires_at_index", Export.expires_at)
