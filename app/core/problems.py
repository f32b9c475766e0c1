"""Every error leaves as RFC 9457 problem+json with a truthful status, a stable code and the request's id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

RETRY_AFTER = {"Retry-After": "1"}


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One thing that is wrong with the request.

    Attributes:
        field: where, as a dotted path (`email`, `items.0.name`), or empty for the whole body.
        code: stable word for programs.
        message: sentence for people.
    """

    field: str
    code: str
    message: str


@dataclass(kw_only=True)  # not frozen: Python writes the traceback into a raised exception
class Problem(Exception):  # noqa: N818 - the name of the media type says what it is
    """An answer that is not a success; raised anywhere below a route.

    Attributes:
        status: HTTP status, 400 to 599.
        code: stable word for programs, also the end of `type`.
        title: the same sentence for every occurrence of this code.
        detail: what happened this time and what to do next.
        errors: the fields at fault, if any.
        headers: extra response headers.
    """

    status: int
    code: str
    title: str
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return self.detail

    def body(self, request_id: str) -> dict[str, object]:
        """Return the problem document."""
        document: dict[str, object] = {
            "type": f"urn:slipway:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:slipway:request:{request_id}",
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = [vars(error) for error in self.errors]
        return document


def conflict(code: str, detail: str) -> Problem:
    """The request clashes with what is stored."""
    return Problem(status=409, code=code, title="Conflict with the stored state", detail=detail)


def invalid(code: str, detail: str, errors: Sequence[FieldError] = (), *, status: int = 422) -> Problem:
    """The request cannot be understood (400) or breaks a rule (422)."""
    return Problem(status=status, code=code, title="The request is not valid", detail=detail, errors=errors)


def unavailable(code: str, detail: str) -> Problem:
    """Try again shortly: nothing is wrong with the request."""
    return Problem(status=503, code=code, title="Temporarily unavailable", detail=detail, headers=RETRY_AFTER)
