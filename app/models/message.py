"""Messages that wait for their consumer (the outbox)."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Line, Moment


class Message(Base):
    """Something that happened and that somebody must still act on.

    Written in the transaction of what happened, deleted in the transaction of the one who acted: it is outbox and
    inbox in one. `due_at` is when it is (re)published; `dead_at` is set when acting on it failed too often.
    """

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    topic: Mapped[Line]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    trace: Mapped[str | None] = mapped_column(String(64))
    traceparent: Mapped[str | None] = mapped_column(String(55))
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[Moment]
    dead_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error: Mapped[str | None] = mapped_column(Text)


Index("messages_due_at_index", Message.due_at, postgresql_where=Message.dead_at.is_(None))
