"""Two tables of the payload as both baselines map them; they run on its migrated database."""

import os
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Base of both."""


class User(Base):
    """A row of `users`."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    email: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Moment] = mapped_column(default=_now)
    updated_at: Mapped[Moment] = mapped_column(default=_now)

    def shown(self) -> dict[str, object]:
        """What clients get."""
        return {
            "id": self.id,
            "name": self.name,
            "email": self.email,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


class Post(Base):
    """A row of `posts`."""

    __tablename__ = "posts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    author_id: Mapped[UUID]
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]

    def shown(self) -> dict[str, object]:
        """What clients get."""
        return {
            "id": self.id,
            "author_id": self.author_id,
            "title": self.title,
            "body": self.body,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


def sessions(*, pool_pre_ping: bool = False) -> tuple[Engine, sessionmaker[Session]]:
    """The engine, with a connection for each thread of a worker as the payload has it, and what makes its sessions."""
    engine = create_engine(
        os.environ["BENCH_DATABASE_URL"],
        pool_size=int(os.environ["BENCH_THREADS"]),
        max_overflow=0,
        pool_pre_ping=pool_pre_ping,
    )
    # Not expired at the commit: else a creation would read its own row again.
    return engine, sessionmaker(engine, expire_on_commit=False)
