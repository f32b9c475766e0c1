"""Enrolments: who takes which course. The rules need more than a constraint, so they are here."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from app.core.database import Database
from app.models import Course, Enrolment, User, table_of
from app.repositories.audit import audited, was_done
from app.repositories.tables import Record
from app.services.kinds import Refusal
from app.services.resources import Caller, MissingError, RefusedError

MOST_COURSES = 5

_ENROLMENTS = table_of(Enrolment)
_COURSES = table_of(Course)
_USERS = table_of(User)
_FULL = Refusal("course_full", "Every seat of the course is taken.")
_TOO_MANY = Refusal("too_many_courses", f"A student takes at most {MOST_COURSES} courses; end another one first.")


def enrol(database: Database, caller: Caller, course_id: UUID, user_id: UUID) -> bool:
    """Enrol a student; False if the student takes the course already.

    Serializable: two enrolments of one student at the same moment could each see room for one more course.

    Raises:
        MissingError: there is no such course or user.
        RefusedError: the course is full, or the student takes too many.
    """
    act = caller.does("course.enrol", f"{course_id}/{user_id}")

    def work(connection: Connection) -> bool:
        _require(connection, course_id, user_id)
        mine = select(_ENROLMENTS.c.course_id).where(_ENROLMENTS.c.user_id == user_id)
        taken = connection.execute(mine).scalars().all()
        if course_id in taken:
            return False
        if len(taken) >= MOST_COURSES:
            raise RefusedError(_TOO_MANY)
        seat = connection.execute(
            update(_COURSES)
            .where(_COURSES.c.id == course_id, _COURSES.c.seats_taken < _COURSES.c.seats)
            .values(seats_taken=_COURSES.c.seats_taken + 1, version=_COURSES.c.version + 1)
        )
        if seat.rowcount == 0:
            raise RefusedError(_FULL)
        row = insert(_ENROLMENTS).values(course_id=course_id, user_id=user_id, created_at=act.at)
        connection.execute(row.add_cte(audited(act)))
        return True

    return database.write(work, serializable=True, was_done=was_done(act))


def end(database: Database, caller: Caller, course_id: UUID, user_id: UUID) -> None:
    """End an enrolment.

    Raises:
        MissingError: there is none.
    """
    act = caller.does("course.leave", f"{course_id}/{user_id}")

    def work(connection: Connection) -> None:
        gone = delete(_ENROLMENTS).where(_ENROLMENTS.c.course_id == course_id, _ENROLMENTS.c.user_id == user_id)
        if connection.execute(gone.add_cte(audited(act))).rowcount == 0:
            raise MissingError("enrolment")
        connection.execute(
            update(_COURSES)
            .where(_COURSES.c.id == course_id)
            .values(seats_taken=_COURSES.c.seats_taken - 1, version=_COURSES.c.version + 1)
        )

    database.write(work, was_done=was_done(act))


def students_of(database: Database, course_id: UUID) -> Sequence[Record]:
    """Return the students of a course by name (at most as many as it has seats), in one statement.

    Raises:
        MissingError: there is no such course.
    """
    query = (
        select(_USERS.c.id, _USERS.c.name, _ENROLMENTS.c.created_at.label("enrolled_at"))
        .select_from(_COURSES.outerjoin(_ENROLMENTS).outerjoin(_USERS))
        .where(_COURSES.c.id == course_id)
        .order_by(_USERS.c.name, _USERS.c.id)
    )
    rows = database.read(lambda connection: connection.execute(query).mappings().all())
    if not rows:
        raise MissingError("course")
    return [dict(row) for row in rows if row["id"] is not None]


def courses_of(database: Database, user_id: UUID) -> Sequence[Record]:
    """Return the courses that a user takes (at most `MOST_COURSES`); none for an unknown user."""
    query = (
        select(_COURSES.c.id, _COURSES.c.title, _ENROLMENTS.c.created_at.label("enrolled_at"))
        .join_from(_COURSES, _ENROLMENTS)
        .where(_ENROLMENTS.c.user_id == user_id)
        .order_by(_COURSES.c.title, _COURSES.c.id)
    )
    return [dict(row) for row in database.read(lambda connection: connection.execute(query).mappings().all())]


def _require(connection: Connection, course_id: UUID, user_id: UUID) -> None:
    for kind, table, row_id in (("course", _COURSES, course_id), ("user", _USERS, user_id)):
        if connection.execute(select(table.c.id).where(table.c.id == row_id)).one_or_none() is None:
            raise MissingError(kind)
