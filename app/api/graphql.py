"""`POST /v1/graphql`: users by GraphQL, where a flag says so. Only then is its library loaded."""

from flask import Blueprint, Response

from app.api.contract import Contract, Gives, promises
from app.api.guard import needs, principal
from app.api.http import read_body
from app.api.schemas import GraphqlDraft, GraphqlView
from app.core.flags import Flag
from app.core.parts import parts
from app.core.problems import Problem

graphql_routes = Blueprint("graphql", __name__)


@graphql_routes.post("/v1/graphql")
@needs("users:read")
@promises(
    Contract(
        {
            200: Gives(
                "What was asked for.", GraphqlView, bare=True, headers=("Idempotency-Replayed", "X-Consistency-Token")
            )
        },
        GraphqlDraft,
        headers=("Idempotency-Key", "X-Consistency-Token"),
        refuses=(404, 409, 412),
    )
)
def ask() -> Response:
    """Ask for users and their posts, or create or delete a user, by GraphQL; 404 where it is switched off."""
    flags, who = parts().flags, principal().name
    if not flags.on(Flag.GRAPHQL, who, default=False):
        raise Problem(status=404, code="not_found", title="Not found", detail="GraphQL is switched off here.")
    from app.api import graphql_run  # noqa: PLC0415 - see above

    return graphql_run.run(
        read_body(GraphqlDraft), introspection=flags.on(Flag.GRAPHQL_INTROSPECTION, who, default=False)
    )
