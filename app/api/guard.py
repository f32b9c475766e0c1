"""Before every route: who asks, and may they. A route without a permission is closed to everyone."""

import functools
import hmac
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response

from app.core.bounded_cache import BoundedCache
from app.core.here import context, current
from app.core.issuer_keys import IssuerAwayError
from app.core.parts import parts
from app.core.principals import ANONYMOUS, PERMISSIONS, PUBLIC, Principal
from app.core.problems import Problem, unavailable
from app.core.tokens import TokenError
from app.services.access import NotAuthenticatedError, digest, principal_of_key

V = TypeVar("V", bound=Callable[..., Response])

_ATTRIBUTE = "needed_permission"
# How long a verified key or token is believed without looking again; a deleted key works for that long.
_BELIEVED_SECONDS = 10.0
#: The operator's own key; load tests and first steps use it, and it has no limits.
BOOTSTRAP = Principal("key:bootstrap", PERMISSIONS)


def needs(permission: str) -> Callable[[V], Callable[..., Response]]:
    """Say which permission a view needs (`users:read`, `PUBLIC`, `SELF`)."""

    def mark(view: V) -> Callable[..., Response]:
        @functools.wraps(view)
        def marked(*args: Any, **kwargs: Any) -> Response:
            return view(*args, **kwargs)

        setattr(marked, _ATTRIBUTE, permission)
        return marked

    return mark


def needed_permission(view: Callable[..., Any]) -> str | None:
    """Return the permission of a view; None means that nobody may call it."""
    return getattr(view, _ATTRIBUTE, None)


def install_identification(app: Flask) -> None:
    """Find out who asks, before every route of `app`."""
    believed: BoundedCache[bytes, Principal] = BoundedCache()

    def identify() -> None:
        here = context().g
        here.principal, here.unknown, here.permission = ANONYMOUS, None, _permission()
        if here.permission == PUBLIC:
            return  # what is open to everybody asks for no name: a probe needs no database
        try:
            secret = _presented()
            if secret is not None:
                here.principal = _identify(secret, believed)
        except (NotAuthenticatedError, IssuerAwayError) as error:
            here.unknown = error  # told after it was counted

    app.before_request(identify)


def install_permission(app: Flask) -> None:
    """Let only those into the routes of `app` who may."""

    def permit() -> None:
        here = context().g
        if here.unknown is not None:
            raise _unidentified(here.unknown) from here.unknown
        if here.permission is None or not here.principal.may(here.permission):
            raise _closed()

    app.before_request(permit)


def permission() -> str | None:
    """Return what the route of the current request needs; None: nobody may call it."""
    return context().g.permission


def principal() -> Principal:
    """Return who sent the current request."""
    return context().g.principal


def forbidden() -> Problem:
    """The principal is known and may not."""
    detail = f"{principal().name} does not have the permission that this needs."
    return Problem(status=403, code="forbidden", title="Forbidden", detail=detail)


def unauthenticated() -> Problem:
    """Nobody, or nobody that we know."""
    return Problem(
        status=401,
        code="unauthenticated",
        title="Not authenticated",
        detail="Send a valid token (Authorization: Bearer ...) or API key (X-API-Key: ...).",
        headers={"WWW-Authenticate": 'Bearer realm="payload"'},
    )


def _unidentified(error: Exception) -> Problem:
    """A client throws a token away that is refused; one that cannot be judged now is still good."""
    if isinstance(error, IssuerAwayError):
        return unavailable("issuer_unavailable", "The keys of the token's issuer cannot be fetched; try again.")
    return unauthenticated()


def _permission() -> str | None:
    """The permission of the route. Where there is none 404 or 405 follows; OPTIONS tells nothing but methods."""
    asked = current()
    if asked.endpoint is None or asked.method == "OPTIONS":
        return PUBLIC
    return needed_permission(context().app.view_functions[asked.endpoint])


def _closed() -> Problem:
    return unauthenticated() if principal() == ANONYMOUS else forbidden()


def _presented() -> str | None:
    environ = current().environ
    key = environ.get("HTTP_X_API_KEY")
    if key is not None:
        return key
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticatedError
    return token.strip()


def _identify(secret: str, believed: BoundedCache[bytes, Principal]) -> Principal:
    name = digest(secret)
    known = believed.get(name)
    if known is not None:
        return known
    found, seconds = _look_up(secret)
    believed.put(name, found, min(seconds, _BELIEVED_SECONDS))
    return found


def _look_up(secret: str) -> tuple[Principal, float]:
    bootstrap, keyring, issuer = parts().bootstrap_key, parts().keyring, parts().issuer
    if bootstrap is not None and hmac.compare_digest(digest(secret), bootstrap):
        return BOOTSTRAP, _BELIEVED_SECONDS
    if secret.count(".") == 2:  # noqa: PLR2004 - a JWT has three parts
        foreign = issuer is not None and issuer.claims_to_write(secret)
        verifier = issuer if foreign else keyring
        if verifier is not None:
            try:
                return verifier.verify(secret)
            except TokenError as error:
                raise NotAuthenticatedError from error
    return principal_of_key(parts().database, secret), _BELIEVED_SECONDS
