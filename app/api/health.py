"""`/livez`, `/readyz`, `/version`: what the platform asks."""

from flask import Blueprint, Response

from app.api.contract import Contract, Gives, promises
from app.api.guard import needs
from app.api.http import answer, problem_response
from app.api.schemas import Health, VersionView
from app.core.parts import parts
from app.core.principals import PUBLIC
from app.core.problems import unavailable

health = Blueprint("health", __name__)


@health.get("/livez")
@needs(PUBLIC)
@promises(Contract({200: Gives("It answers.", Health)}, takes_turn=False))
def livez() -> Response:
    """The process answers. Looks at nothing else: a restart would not bring a database back."""
    return answer({"status": "alive"})


@health.get("/readyz")
@needs(PUBLIC)
@promises(Contract({200: Gives("It can do its work.", Health)}, refuses=(503,), takes_turn=False))
def readyz() -> Response:
    """This process can do its work: not draining, and a database with our schema answers, or did a moment ago."""
    if parts().drain.begun:
        return problem_response(unavailable("draining", "This process is stopping; send new work elsewhere."))
    if parts().settings.faults.never_ready:
        return problem_response(unavailable("injected_fault", "This version is configured never to be ready."))
    if not parts().readiness.holds():
        return problem_response(unavailable("not_ready", "No database with the service's schema answers."))
    return answer({"status": "ready"})


@health.get("/version")
@needs(PUBLIC)
@promises(Contract({200: Gives("The version.", VersionView)}))
def version() -> Response:
    """Which version this is."""
    settings = parts().settings
    return answer({"version": settings.version, "colour": settings.colour, "environment": settings.environment})
