"""Posts: many for one user."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Line, Moment


class Post(Base):
    """A text by a user; goes with its author."""

    __tablename__ = "posts"

    id: Mapped[Identifier]
    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[Line]
    body: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]


Index("posts_created_at_id_index", Post.created_at.desc(), Post.id.desc())
Index("posts_author_id_created_at_id_index", Post.author_id, Post.created_at.desc(), Post.id.desc())
Index("posts_title_created_at_id_index", Post.title, Post.created_at, Post.id)
