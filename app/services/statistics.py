"""Numbers about all courses: one statement that reads the whole table, so its answer is kept for a minute."""

from typing import Any

from sqlalchemy import func, select

from app.core.cache import Cache
from app.core.database import Database
from app.models import Course, table_of

#: The courses with the most students.
MOST_WANTED = 5
_NAME = "statistics:courses"
_COURSES = table_of(Course)


def of_courses(database: Database, cache: Cache) -> dict[str, Any]:
    """Return how many courses and seats there are, how many are taken, and which courses most students take."""
    shown = (_COURSES.c.id, _COURSES.c.title, _COURSES.c.seats_taken)
    order = (_COURSES.c.seats_taken.desc(), _COURSES.c.title, _COURSES.c.id)
    wanted = select(*shown).where(_COURSES.c.seats_taken > 0).order_by(*order).limit(MOST_WANTED).subquery()
    row = func.json_build_object("id", wanted.c.id, "title", wanted.c.title, "seats_taken", wanted.c.seats_taken)
    query = select(
        func.count().label("courses"),
        func.coalesce(func.sum(_COURSES.c.seats), 0).label("seats"),
        func.coalesce(func.sum(_COURSES.c.seats_taken), 0).label("seats_taken"),
        select(func.coalesce(func.json_agg(row), func.json_build_array())).scalar_subquery().label("most_wanted"),
    ).select_from(_COURSES)

    def load() -> dict[str, Any]:
        return dict(database.read(lambda connection: connection.execute(query).mappings().one()))

    found = cache.get_or_load(_NAME, load)
    return load() if found is None else found
