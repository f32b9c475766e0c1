"""The one map from exceptions to problems."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from flask import Flask, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from app.api.http import precondition_failed, problem_response
from app.core import reports
from app.core.database_errors import CommitUnknown, TookTooLong, Trouble, Unavailable, classify
from app.core.passwords import HashingBusyError
from app.core.problems import Problem, conflict, invalid, unavailable
from app.core.requests import request_id
from app.repositories.idempotency import KeyReusedError
from app.services.resources import MissingError, RefusedError, VersionMismatchError

_LOG = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Answer every exception below a route of `app` with problem+json."""

    def handle(error: Exception) -> Response:
        problem = to_problem(error)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOG.error(problem.detail, exc_info=error, extra={"error.code": problem.code})
            if problem.code == "internal":
                route = None if request.url_rule is None else request.url_rule.rule
                reports.report(error, route=route, request_id=request_id())
        elif problem.status > HTTPStatus.INTERNAL_SERVER_ERROR:
            # No traceback: to write one takes longer than to answer, and in an outage there are dozens a second.
            _LOG.warning(problem.detail, extra={"error.code": problem.code, "error.message": _reasons(error)})
        return problem_response(problem)

    app.register_error_handler(Exception, handle)


def _reasons(error: BaseException) -> str:
    """Return the first line of what an exception says, and of what each of its causes says."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if error.__cause__ is None or isinstance(error, DBAPIError):  # that one says what its cause does
        return said
    return f"{said}: {_reasons(error.__cause__)}"


def to_problem(error: Exception) -> Problem:
    """Return the problem that tells a client about an exception; nothing internal leaks into it."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _http(error)
    if isinstance(error, MissingError):
        return Problem(status=404, code="not_found", title="Not found", detail=f"There is no such {error}.")
    if isinstance(error, RefusedError):
        return conflict(error.refusal.code, error.refusal.detail)
    if isinstance(error, DBAPIError) and classify(error) is Trouble.SLOW:
        return _slow()
    known = _KNOWN.get(type(error))
    return known() if known else _internal()


def _slow() -> Problem:
    return unavailable("database_slow", "The database took too long; nothing was changed.")


def _internal() -> Problem:
    detail = "Something is wrong with the service; the request id finds it in the log."
    return Problem(status=500, code="internal", title="Internal error", detail=detail)


_KNOWN: Mapping[type[Exception], Callable[[], Problem]] = {
    VersionMismatchError: precondition_failed,
    KeyReusedError: lambda: invalid(
        "idempotency_key_reused", "This Idempotency-Key came with another body; use a new key."
    ),
    CommitUnknown: lambda: unavailable(
        "commit_unknown",
        "The change may or may not be stored. Repeat it with the same Idempotency-Key, or read to find out.",
    ),
    TookTooLong: _slow,
    HashingBusyError: lambda: unavailable("overloaded", "Too many logins are running; try again."),
    Unavailable: lambda: unavailable("database_unavailable", "The database does not answer; nothing was changed."),
    PoolTimeoutError: lambda: unavailable("overloaded", "Too many requests are running; nothing was changed."),
}


def _http(error: HTTPException) -> Problem:
    """Flask's own errors (404, 405 with Allow, 413, ...) in our form."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    name = error.name
    return Problem(
        status=status,
        code=name.lower().replace(" ", "_"),
        title=name,
        detail=error.description or name,
        headers=headers,
    )
