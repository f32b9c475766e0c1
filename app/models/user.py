"""Users and their profiles (one to one)."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Line, Moment


class User(Base):
    """A person with an account.

    `version` counts changes; it is the ETag and guards against lost updates.
    """

    __tablename__ = "users"

    id: Mapped[Identifier]
    name: Mapped[Line]
    email: Mapped[str] = mapped_column(String(254))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


Index("users_created_at_id_index", User.created_at.desc(), User.id.desc())
Index("users_name_id_index", User.name, User.id)
# One account for an address, whatever its case.
Index("users_email_key", func.lower(User.email), unique=True)


class Profile(Base):
    """What a user tells about themselves; at most one for each user."""

    __tablename__ = "profiles"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    bio: Mapped[str] = mapped_column(Text)
    website: Mapped[str | None] = mapped_column(String(200))
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[Moment]
