"""How users and machines prove who they are. Only hashes are stored."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Line, Moment


class Credential(Base):
    """The password and role of a user who may log in."""

    __tablename__ = "credentials"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20))


class RefreshToken(Base):
    """One link in a chain of refresh tokens that began with a login (the family)."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[Moment]
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


Index("refresh_tokens_family_index", RefreshToken.family)
Index("refresh_tokens_user_id_index", RefreshToken.user_id)
Index("refresh_tokens_expires_at_index", RefreshToken.expires_at)


class ApiKey(Base):
    """A machine's key; `id` is in the key itself and names it in lists and in the audit log."""

    __tablename__ = "api_keys"

    id: Mapped[Identifier]
    name: Mapped[Line]
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(40)))
    created_at: Mapped[Moment]
