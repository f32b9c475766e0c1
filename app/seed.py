"""`python -m app.seed`: example data, and the first administrator. Safe to run more than once.

Exit codes: 0 done, 1 error. One JSON object on stdout says what was made.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core import commands
from app.core.database import Database
from app.core.principals import Role
from app.core.secret_files import read_secret
from app.core.settings import Settings
from app.models import Course, Post, User, table_of
from app.services.access import set_password
from app.services.resources import Caller

_POSTS_EACH = 2
_SEATS = 20


def same_id(what: str, number: int) -> UUID:
    """The same id in every run, so that a second one makes nothing."""
    return uuid5(NAMESPACE_URL, f"urn:slipway:seed:{what}:{number}")


def seed(database: Database, users: int, now: datetime) -> dict[str, int]:
    """Make that many users, their posts and a course for every ten, unless they exist; return how many rows are new."""

    def stamps(number: int) -> dict[str, object]:
        moment = now - timedelta(seconds=number)
        return {"version": 1, "created_at": moment, "updated_at": moment}

    people = [
        {"id": same_id("user", n), "name": f"Learner {n}", "email": f"learner-{n}@example.test", **stamps(n)}
        for n in range(users)
    ]
    posts = [
        {
            "id": same_id("post", n),
            "author_id": same_id("user", n // _POSTS_EACH),
            "title": f"Note {n}",
            "body": "What I learned today.",
            **stamps(n),
        }
        for n in range(users * _POSTS_EACH)
    ]
    courses = [
        {"id": same_id("course", n), "title": f"Course {n}", "seats": _SEATS, "seats_taken": 0, **stamps(n)}
        for n in range(users // 10)
    ]

    def work(connection: Connection) -> dict[str, int]:
        made: dict[str, int] = {}
        for model, rows in ((User, people), (Post, posts), (Course, courses)):
            table = table_of(model)
            new = insert(table).on_conflict_do_nothing(index_elements=["id"]).returning(table.c.id)
            made[model.__tablename__] = len(connection.execute(new, rows).all()) if rows else 0
        return made

    return database.write(work)


def make_administrator(database: Database, email: str, password: str, now: datetime) -> UUID:
    """Give the user with this address the password and the role of administrator; make the user if there is none."""
    table = table_of(User)

    def work(connection: Connection) -> UUID:
        found = connection.execute(select(table.c.id).where(func.lower(table.c.email) == email.lower())).scalar()
        if found is not None:
            return found
        user_id = same_id(email, 0)
        row = {"id": user_id, "name": "Administrator", "email": email, "version": 1}
        connection.execute(insert(table).values(**row, created_at=now, updated_at=now))
        return user_id

    user_id = database.write(work)
    set_password(database, Caller("command:seed"), user_id, password, Role.ADMIN)
    return user_id


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.seed", description=__doc__)
    parser.add_argument("--users", type=int, default=0, help="how many example users")
    parser.add_argument("--admin-email", help="address of the first administrator")
    parser.add_argument("--admin-password-file", type=Path, help="file with the administrator's password")
    given = parser.parse_args(arguments)
    if (given.admin_email is None) != (given.admin_password_file is None):
        parser.error("--admin-email and --admin-password-file belong together: give both or none")

    def work(_settings: Settings, database: Database) -> dict[str, object]:
        now = datetime.now(UTC)
        report: dict[str, object] = dict(seed(database, given.users, now))
        if given.admin_email is not None:
            password = read_secret(given.admin_password_file)
            report["administrator"] = str(make_administrator(database, given.admin_email, password, now))
        return report

    return commands.run(work)


if __name__ == "__main__":
    sys.exit(main())
