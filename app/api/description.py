"""`/openapi.json`: the service describes itself."""

import orjson
from flask import Blueprint, Response, current_app, request

from app.api.contract import Contract, Gives, promises
from app.api.guard import needs
from app.api.http import JSON
from app.api.openapi import document
from app.api.schemas import DocumentView
from app.core.principals import PUBLIC


def description_routes() -> Blueprint:
    """Return the route; it makes the document once."""
    routes = Blueprint("description", __name__)
    made: list[bytes] = []

    @routes.get("/openapi.json")
    @needs(PUBLIC)
    @promises(
        Contract(
            {
                200: Gives("The document.", DocumentView, bare=True, headers=("ETag",)),
                304: Gives("Unchanged.", headers=("ETag",)),
            },
            headers=("If-None-Match",),
            asks_database=False,
        )
    )
    def openapi() -> Response:  # pyright: ignore[reportUnusedFunction] - the decorator keeps it
        """Return this document, without the routes that this instance does not have."""
        if not made:
            made.append(orjson.dumps(document(current_app)))
        response = Response(made[0], mimetype=JSON, headers={"Cache-Control": "public, max-age=300"})
        response.add_etag()
        response.make_conditional(request)
        return response

    return routes
