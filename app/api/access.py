"""Login, refresh, passwords, API keys, and the public keys of our tokens."""

from uuid import UUID

from flask import Blueprint, Response, jsonify

from app.api.contract import Contract, Gives, promises
from app.api.guard import forbidden, needs, principal, unauthenticated
from app.api.http import answer, caller, read_body, shown
from app.api.limits import limit_login
from app.api.schemas import (
    JwksView,
    KeyDraft,
    KeyMadeView,
    KeyView,
    LoginDraft,
    PasswordDraft,
    RefreshDraft,
    SessionView,
)
from app.core.parts import parts
from app.core.principals import PUBLIC, SELF
from app.core.problems import invalid
from app.core.tokens import LIFETIME, Keyring
from app.services import access
from app.services.access import NotAuthenticatedError, Session

access_routes = Blueprint("access", __name__)
token_routes = Blueprint("tokens", __name__)  # only where a signing key is mounted

_NO_STORE = {"Cache-Control": "no-store"}


@token_routes.post("/v1/tokens")
@needs(PUBLIC)
@promises(Contract({200: Gives("A session.", SessionView)}, LoginDraft, refuses=(401,)))
def login() -> Response:
    """Exchange an address and a password for tokens."""
    draft = read_body(LoginDraft)
    limit_login(draft.email.lower())
    try:
        session = access.login(parts().database, _keyring(), caller(), draft.email, draft.password)
    except NotAuthenticatedError as error:
        raise unauthenticated() from error
    return _session(session)


@token_routes.post("/v1/tokens/refresh")
@needs(PUBLIC)
@promises(Contract({200: Gives("A session.", SessionView)}, RefreshDraft, refuses=(401,)))
def refresh() -> Response:
    """Exchange a refresh token for new tokens; each works once."""
    token = read_body(RefreshDraft).refresh_token
    limit_login(token)
    try:
        session = access.refresh(parts().database, _keyring(), caller(), token)
    except NotAuthenticatedError as error:
        raise unauthenticated() from error
    return _session(session)


@token_routes.get("/.well-known/jwks.json")
@needs(PUBLIC)
@promises(Contract({200: Gives("The keys.", JwksView, bare=True)}))
def jwks() -> Response:
    """Return the public keys; for other services, so without our envelope."""
    response = jsonify(_keyring().jwks())
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@access_routes.put("/v1/users/<uuid:user_id>/password")
@needs(SELF)
@promises(Contract({204: Gives("Set; every session of the user has ended.")}, PasswordDraft))
def set_password(user_id: UUID) -> Response:
    """Set a password: one's own, or anyone's (with a role) as administrator."""
    draft = read_body(PasswordDraft)
    administrator = principal().may("credentials:write")
    if not administrator and (principal().name != f"user:{user_id}" or draft.role is not None):
        raise forbidden()
    access.set_password(parts().database, caller(), user_id, draft.password, draft.role)
    return Response(status=204)


@access_routes.post("/v1/keys")
@needs("keys:write")
@promises(Contract({201: Gives("The key.", KeyMadeView, headers=("Location",))}, KeyDraft))
def create_key() -> Response:
    """Make an API key; its text is in this answer and nowhere else."""
    draft = read_body(KeyDraft)
    beyond = set(draft.scopes) - principal().permissions
    if beyond:
        raise invalid("scopes", f"A key cannot have scopes that its maker lacks: {', '.join(sorted(beyond))}.")
    row, text = access.create_key(parts().database, caller(), draft.name, draft.scopes)
    data = {**shown(row, KeyView.model_fields), "key": text}
    return answer(data, status=201, headers={**_NO_STORE, "Location": f"/v1/keys/{row['id']}"})


@access_routes.get("/v1/keys")
@needs("keys:read")
@promises(Contract({200: Gives("The keys, at most 100, newest first.", KeyView, many=True)}))
def list_keys() -> Response:
    """Return the API keys without their texts."""
    return answer([shown(row, KeyView.model_fields) for row in access.list_keys(parts().database)])


@access_routes.delete("/v1/keys/<uuid:key_id>")
@needs("keys:write")
@promises(Contract({204: Gives("Ended.")}))
def delete_key(key_id: UUID) -> Response:
    """End an API key."""
    access.delete_key(parts().database, caller(), key_id)
    return Response(status=204)


def _session(session: Session) -> Response:
    data = {**vars(session), "token_type": "Bearer", "expires_in": int(LIFETIME.total_seconds())}
    return answer(data, headers=_NO_STORE)


def _keyring() -> Keyring:
    keyring = parts().keyring
    if keyring is None:
        raise AssertionError("token routes are only registered with a signing key")
    return keyring
