"""The resources of the service: what each is called, shows, allows and refuses. Add one here, a table and a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

from app.models import Course, Post, User, table_of
from app.repositories.tables import Sort

NEWEST_FIRST = Sort(("created_at",), descending=True)


@dataclass(frozen=True)
class Refusal:
    """Why the database refuses a change that breaks a constraint.

    Attributes:
        code: stable word for programs.
        detail: sentence for people.
    """

    code: str
    detail: str


#: Of rows that belong to a user, where the path names the user.
NO_SUCH_USER = Refusal("no_such_user", "There is no such user.")


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        name: singular, as in audit entries: `user`.
        table: where its rows are.
        fields: the columns that clients see.
        refusals: constraint -> what breaking it means.
        sorts: what `sort=` may say; each is backed by an index (a test asks Postgres).
        filters: the columns that lists may be narrowed by; each is backed by an index.
        cached: whether single rows are; not where rows also vanish with another row, which the cache cannot see.
        announced: whether the creation of a row is a message, `<name>.created`.
        initial: columns that a new row has besides the client's.
    """

    name: str
    table: Table
    fields: tuple[str, ...]
    refusals: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])
    sorts: Mapping[str, Sort] = field(default_factory=lambda: {"-created_at": NEWEST_FIRST})
    filters: tuple[str, ...] = ()
    cached: bool = True
    announced: bool = False
    initial: Mapping[str, object] = field(default_factory=dict[str, object])


USERS = Kind(
    name="user",
    table=table_of(User),
    fields=("id", "name", "email", "created_at", "updated_at"),
    refusals={
        "users_email_key": Refusal("email_taken", "Another user has this email address."),
        "enrolments_user_id_fkey": Refusal("user_enrolled", "The user takes courses: end the enrolments first."),
    },
    announced=True,
    sorts={"-created_at": NEWEST_FIRST, "name": Sort(("name",)), "-name": Sort(("name",), descending=True)},
)

POSTS = Kind(
    name="post",
    table=table_of(Post),
    fields=("id", "author_id", "title", "body", "created_at", "updated_at"),
    refusals={"posts_author_id_fkey": Refusal("no_such_author", "There is no user with the id in author_id.")},
    sorts={"-created_at": NEWEST_FIRST, "title,created_at": Sort(("title", "created_at"))},
    filters=("author_id",),
    cached=False,  # they go with their author
)

COURSES = Kind(
    name="course",
    table=table_of(Course),
    fields=("id", "title", "seats", "seats_taken", "created_at", "updated_at"),
    refusals={
        "courses_seats_check": Refusal("seats_taken", "More students are enrolled than the course would have seats."),
        "enrolments_course_id_fkey": Refusal("course_in_use", "Students take the course: end the enrolments first."),
    },
    sorts={"-created_at": NEWEST_FIRST, "title": Sort(("title",))},
    initial={"seats_taken": 0},
)
