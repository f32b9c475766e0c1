"""`/livez`, `/readyz`, `/version`: what the platform asks."""

from flask import Blueprint, Response
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, NoResultFound
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.api.guard import needs
from app.api.http import answer, problem_response
from app.core.database_errors import Unavailable
from app.core.parts import parts
from app.core.principals import PUBLIC
from app.core.problems import unavailable

health = Blueprint("health", __name__)


@health.get("/livez")
@needs(PUBLIC)
def livez() -> Response:
    """The process answers. Looks at nothing else: a restart would not bring a database back."""
    return answer({"status": "alive"})


@health.get("/readyz")
@needs(PUBLIC)
def readyz() -> Response:
    """This process can do its work: not draining, and a database with our schema answers."""
    if parts().drain.begun:
        return problem_response(unavailable("draining", "This process is stopping; send new work elsewhere."))
    if parts().settings.faults.never_ready:
        return problem_response(unavailable("injected_fault", "This version is configured never to be ready."))
    try:
        parts().database.read(_schema)
    except PoolTimeoutError:
        pass  # every connection is in use: busy, but the database answers
    except (DBAPIError, NoResultFound, Unavailable):
        return problem_response(unavailable("not_ready", "No database with the service's schema answers."))
    return answer({"status": "ready"})


def _schema(connection: Connection) -> None:
    connection.execute(text("SELECT version_num FROM alembic_version")).one()


@health.get("/version")
@needs(PUBLIC)
def version() -> Response:
    """Which version this is."""
    settings = parts().settings
    return answer({"version": settings.version, "colour": settings.colour, "environment": settings.environment})
