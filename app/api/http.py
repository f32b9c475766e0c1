"""Reading requests and writing answers: bodies, queries, envelopes, entity tags, idempotency keys."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import orjson
from flask import Response, request
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import override
from werkzeug.datastructures import Headers, MIMEAccept

from app.core.here import context, current
from app.core.principals import Principal
from app.core.problems import FieldError, Problem, invalid
from app.core.requests import request_id
from app.repositories.idempotency import Claim
from app.repositories.tables import Record
from app.services.resources import Caller

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"
PROBLEM = "application/problem+json"
MERGE_PATCH = "application/merge-patch+json"
_BODY_TYPES = {JSON, MERGE_PATCH}
_TAG = re.compile(r'"v([0-9]{1,9})"')
_VERSIONED = re.compile(r"/v[1-9][0-9]*/")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Strict(BaseModel):
    """What clients send: unknown fields are mistakes, not noise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def takes(accept: MIMEAccept, form: str = JSON) -> bool:
    """True if an Accept header (a missing one accepts all) can be met by a media type, with whatever parameters."""
    named = [quality for value, quality in accept if value.partition(";")[0].strip().lower() == form]
    return not accept.provided or max(named, default=accept.quality(form)) > 0


def versioned(path: str) -> bool:
    """True for what is below `/v1`, `/v2`, ...: the API, not what the platform asks."""
    return _VERSIONED.match(path) is not None


def read_body(model: type[M]) -> M:
    """Return the request body as `model`.

    Raises:
        Problem: 415 not JSON, 400 not parseable, 422 a rule is broken.
    """
    if request.mimetype not in _BODY_TYPES:
        raise invalid(
            "media_type",
            f"Content-Type is {request.mimetype or 'missing'}; allowed: {', '.join(sorted(_BODY_TYPES))}.",
            status=415,
        )
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        errors = _field_errors(error)
        if errors[0].code == "json_invalid":
            raise invalid("malformed", f"The body is not JSON: {errors[0].message}.", status=400) from None
        raise invalid("validation", "The body breaks the rules listed in errors.", errors) from None


def checked(model: type[M], values: Mapping[str, object]) -> M:
    """Return values that came as arguments of a GraphQL field as `model`.

    Raises:
        Problem: 422, a rule is broken.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid("validation", "An argument breaks the rules listed in errors.", _field_errors(error)) from None


def read_query(model: type[M]) -> M:
    """Return the query string as `model`.

    Raises:
        Problem: 422, a parameter is unknown, repeated or breaks a rule.
    """
    if not request.query_string:
        return _nothing_asked(model)
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        errors = [FieldError(field=name, code="repeated", message="Give this parameter once") for name in repeated]
        raise invalid("validation", "The query breaks the rules listed in errors.", errors)
    try:
        return model.model_validate_strings(request.args.to_dict())
    except ValidationError as error:
        raise invalid("validation", "The query breaks the rules listed in errors.", _field_errors(error)) from None


@lru_cache
def _nothing_asked(model: type[M]) -> M:
    return model()


def _field_errors(error: ValidationError) -> list[FieldError]:
    return [
        FieldError(field=".".join(str(part) for part in item["loc"]), code=item["type"], message=item["msg"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def answer(
    data: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    meta: Mapping[str, object] | None = None,
) -> Response:
    """Return `{"data": ..., "meta": {"request_id": ...}}`; `data` is what orjson can write."""
    body = {"data": data, "meta": {"request_id": request_id(), **(meta or {})}}
    return _Whole(orjson.dumps(body), status, dict(headers or {}), content_type=JSON)


class _Whole(Response):
    """A body that is all there, whose headers are as they are sent: nothing is left to be worked out."""

    @override
    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        return self.headers


def shown(record: Record, fields: Iterable[str]) -> dict[str, object]:
    """Return the fields of a row that clients may see."""
    return {name: record[name] for name in fields}


def problem_response(problem: Problem) -> Response:
    """Return a problem as an answer."""
    body = orjson.dumps(problem.body(request_id()))
    return Response(body, status=problem.status, headers=dict(problem.headers), mimetype=PROBLEM)


def entity_tag(version: int) -> str:
    """Return the ETag of a row's version, quotes included."""
    return f'"v{version}"'


def not_modified(version: int) -> bool:
    """True if the client's If-None-Match already names this version."""
    named = "If-None-Match" in request.headers  # without it there is nothing to parse
    return named and request.if_none_match.contains_weak(entity_tag(version)[1:-1])


def allowed_versions() -> list[int] | None:
    """Return the versions that If-Match allows; None: any. A tag that is not ours matches nothing."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    return [int(version) for version in _TAG.findall(header)]


def precondition_failed() -> Problem:
    """The If-Match of the request names no current version."""
    return Problem(
        status=412,
        code="version_mismatch",
        title="Precondition failed",
        detail="It was changed since it was read: read it again, then repeat with the new ETag in If-Match.",
    )


def idempotency_claim(scope: str) -> Claim | None:
    """Return the claim of the Idempotency-Key header, None without one.

    Raises:
        Problem: 422, the key is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise invalid("idempotency_key", "Idempotency-Key must be 1 to 255 visible ASCII characters.")
    who: Principal = context().g.principal
    return Claim(scope=f"{who.name} {scope}", key=key, request_hash=hashlib.sha256(request.get_data()).digest())


def caller() -> Caller:
    """Return on whose behalf this request acts."""
    who: Principal = context().g.principal
    return Caller(who.name, current().remote_addr, request_id())
