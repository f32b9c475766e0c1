"""Courses, and enrolments of students (users) in them (many to many)."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Line, Moment


class Course(Base):
    """Something to learn, with a number of seats. `seats_taken` is kept by enrolments, never counted on reads."""

    __tablename__ = "courses"

    id: Mapped[Identifier]
    title: Mapped[Line]
    seats: Mapped[int]
    seats_taken: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]

    __table_args__ = (CheckConstraint("seats_taken BETWEEN 0 AND seats", name="seats"),)


Index("courses_created_at_id_index", Course.created_at.desc(), Course.id.desc())
Index("courses_title_id_index", Course.title, Course.id)


class Enrolment(Base):
    """A user takes a course. Neither can be deleted meanwhile, or `seats_taken` would be wrong."""

    __tablename__ = "enrolments"

    course_id: Mapped[UUID] = mapped_column(ForeignKey("courses.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    created_at: Mapped[Moment]


Index("enrolments_user_id_course_id_index", Enrolment.user_id, Enrolment.course_id)
