"""Profiles and enrolments, whose address is made of other resources; and numbers about courses."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from flask import Blueprint, Response

from app.api.contract import Contract, Gives, promises
from app.api.guard import needs
from app.api.http import answer, caller, entity_tag, read_body, shown
from app.api.schemas import EnrolmentView, ProfileDraft, ProfileView, StatisticsView, StudentView
from app.core.parts import parts
from app.repositories.tables import Record
from app.services import enrolments, profiles, statistics
from app.services.kinds import COURSES
from app.services.resources import cache_name

learning = Blueprint("learning", __name__, url_prefix="/v1")

_TOKEN = ("X-Consistency-Token",)


@learning.get("/users/<uuid:user_id>/profile")
@needs("profiles:read")
@promises(Contract({200: Gives("The profile.", ProfileView, headers=("ETag",))}, headers=_TOKEN))
def read_profile(user_id: UUID) -> Response:
    """Return a user's profile."""
    return _profile(profiles.get_profile(parts().database, user_id))


@learning.put("/users/<uuid:user_id>/profile")
@needs("profiles:write")
@promises(Contract({200: Gives("The profile.", ProfileView, headers=("ETag", *_TOKEN))}, ProfileDraft))
def put_profile(user_id: UUID) -> Response:
    """Make or replace a user's profile."""
    values = read_body(ProfileDraft).model_dump()
    return _profile(profiles.put_profile(parts().database, caller(), user_id, values))


@learning.get("/users/<uuid:user_id>/courses")
@needs("enrolments:read")
@promises(Contract({200: Gives("The courses; none for a user that does not exist.", EnrolmentView, many=True)}))
def courses(user_id: UUID) -> Response:
    """Return the courses that a user takes."""
    return _all(enrolments.courses_of(parts().database, user_id), EnrolmentView.model_fields)


@learning.get("/courses/<uuid:course_id>/students")
@needs("enrolments:read")
@promises(Contract({200: Gives("The students.", StudentView, many=True)}))
def students(course_id: UUID) -> Response:
    """Return the students of a course."""
    return _all(enrolments.students_of(parts().database, course_id), StudentView.model_fields)


@learning.put("/courses/<uuid:course_id>/students/<uuid:user_id>")
@needs("enrolments:write")
@promises(
    Contract({201: Gives("Enrolled.", headers=_TOKEN), 204: Gives("Was enrolled.", headers=_TOKEN)}, refuses=(409,))
)
def enrol(course_id: UUID, user_id: UUID) -> Response:
    """Enrol a student; saying it twice changes nothing."""
    try:
        new = enrolments.enrol(parts().database, caller(), course_id, user_id)
    finally:
        _forget(course_id)
    return Response(status=201 if new else 204)


@learning.delete("/courses/<uuid:course_id>/students/<uuid:user_id>")
@needs("enrolments:write")
@promises(Contract({204: Gives("Ended.", headers=_TOKEN)}))
def leave(course_id: UUID, user_id: UUID) -> Response:
    """End an enrolment."""
    try:
        enrolments.end(parts().database, caller(), course_id, user_id)
    finally:
        _forget(course_id)
    return Response(status=204)


@learning.get("/statistics")
@needs("courses:read")
@promises(Contract({200: Gives("The numbers, at most about a minute old.", StatisticsView)}))
def course_statistics() -> Response:
    """Return how many courses and seats there are, and which courses most students take."""
    return answer(statistics.of_courses(parts().database, parts().cache))


def _forget(course_id: UUID) -> None:
    """The number of seats taken is part of a course."""
    parts().cache.forget(cache_name(COURSES, course_id))


def _profile(record: Record) -> Response:
    return answer(shown(record, ProfileView.model_fields), headers={"ETag": entity_tag(record["version"])})


def _all(records: Sequence[Record], fields: Iterable[str]) -> Response:
    return answer([shown(record, fields) for record in records])
