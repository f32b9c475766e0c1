"""`/v1/users`."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, url_for

from app.api.http import (
    allowed_versions,
    answer,
    entity_tag,
    idempotency_claim,
    not_modified,
    read_body,
    read_query,
)
from app.api.schemas import ListQuery, UserDraft, UserPatch, UserView
from app.core.cursors import CursorError
from app.core.parts import parts
from app.core.problems import FieldError, invalid
from app.repositories.users import UserRecord
from app.services.users import Users

users = Blueprint("users", __name__, url_prefix="/v1/users")


def _service() -> Users:
    return Users(parts().database)


def _view(user: UserRecord) -> UserView:
    return UserView.model_validate(user)


@users.post("")
def create() -> Response:
    """Create a user; repeated with the same Idempotency-Key it answers as the first time."""
    draft = read_body(UserDraft)
    created = _service().create(draft.name, draft.email, idempotency_claim("POST /v1/users"))
    headers = {
        "Location": url_for("users.read", user_id=created.user.id),
        "ETag": entity_tag(created.user.version),
    }
    if created.replayed:
        headers["Idempotency-Replayed"] = "true"
    return answer(_view(created.user), status=201, headers=headers)


@users.get("/<uuid:user_id>")
def read(user_id: UUID) -> Response:
    """Return a user."""
    user = _service().get(user_id)
    if not_modified(user.version):
        return Response(status=304, headers={"ETag": entity_tag(user.version)})
    return answer(_view(user), headers={"ETag": entity_tag(user.version)})


@users.put("/<uuid:user_id>")
def replace(user_id: UUID) -> Response:
    """Replace all fields of a user."""
    user = _service().change(user_id, read_body(UserDraft).model_dump(), allowed_versions())
    return answer(_view(user), headers={"ETag": entity_tag(user.version)})


@users.patch("/<uuid:user_id>")
def change(user_id: UUID) -> Response:
    """Change some fields of a user."""
    values = read_body(UserPatch).model_dump(exclude_unset=True)
    if not values:
        raise invalid("empty_patch", "Give at least one field to change: name, email.")
    user = _service().change(user_id, values, allowed_versions())
    return answer(_view(user), headers={"ETag": entity_tag(user.version)})


@users.delete("/<uuid:user_id>")
def delete(user_id: UUID) -> Response:
    """Delete a user."""
    _service().delete(user_id, allowed_versions())
    return Response(status=204)


@users.get("")
def index() -> Response:
    """Return users, newest first."""
    query = read_query(ListQuery)
    page = _service().page(query.limit, None if query.cursor is None else _position(query.cursor))
    if not page.more:
        return answer([_view(user) for user in page.users], meta={"next_cursor": None})
    last = page.users[-1]
    cursor = parts().cursors.encode("users", [last.created_at.isoformat(), str(last.id)])
    link = url_for("users.index", cursor=cursor, limit=query.limit)
    return answer(
        [_view(user) for user in page.users],
        headers={"Link": f'<{link}>; rel="next"'},
        meta={"next_cursor": cursor},
    )


def _position(cursor: str) -> tuple[datetime, UUID]:
    try:
        created_at, user_id = parts().cursors.decode("users", cursor)
    except CursorError:
        message = "Not a cursor of this list; start without one."
        error = FieldError(field="cursor", code="cursor", message=message)
        raise invalid("validation", "The query breaks the rules listed in errors.", [error]) from None
    return datetime.fromisoformat(created_at), UUID(user_id)
