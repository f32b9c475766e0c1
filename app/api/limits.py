"""How often one may ask: each principal, each address without one, and each login."""

from flask import Flask, Response

from app.api.contract import LIMITED
from app.api.guard import BOOTSTRAP, principal
from app.api.http import versioned
from app.core.here import context, current
from app.core.parts import parts, parts_of
from app.core.principals import ANONYMOUS, PUBLIC
from app.core.problems import Problem
from app.core.rate_limit import Outcome, Policy
from app.services.access import digest


def install(app: Flask) -> None:
    """Limit the requests to the API of `app`; runs when it is known who asks, and before they are let in."""
    limits = parts_of(app).settings.rate_limits
    policy = Policy("requests", limits.requests, limits.window_seconds)

    def limit() -> None:
        # What is open to everybody has limits of its own: nobody may use up a limit that others need to log in.
        # Where there is no route, and for OPTIONS, everything is.
        here = context().g
        if here.permission != PUBLIC and here.principal is not BOOTSTRAP and versioned(current().path):
            _take(policy, _caller())

    def tell(response: Response) -> Response:
        taken: Outcome | None = context().g.get("limited")
        if taken is not None:
            limit, remaining = LIMITED
            name = taken.policy.name
            response.headers[limit] = f'"{name}";q={taken.policy.requests};w={taken.policy.seconds}'
            response.headers[remaining] = f'"{name}";r={taken.remaining};t={taken.seconds}'
        return response

    app.before_request(limit)
    app.after_request(tell)


def limit_login(account: str) -> None:
    """Limit the tries to become somebody: from one address, for one account (an address of mail, or a token).

    Raises:
        Problem: 429.
    """
    limits = parts().settings.rate_limits
    _take(Policy("logins", limits.logins, limits.window_seconds), f"{current().remote_addr} {digest(account).hex()}")


def _caller() -> str:
    who = principal()
    return f"address:{current().remote_addr}" if who == ANONYMOUS else who.name


def _take(policy: Policy, caller: str) -> None:
    if policy.requests == 0:
        return
    context().g.limited = taken = parts().limiter.take(policy, caller)
    if not taken.allowed:
        raise Problem(
            status=429,
            code="rate_limited",
            title="Too many requests",
            detail=f"{policy.requests} {policy.name} in {policy.seconds} s are allowed; wait {taken.seconds} s.",
            headers={"Retry-After": str(taken.seconds)},
        )
