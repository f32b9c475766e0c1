"""`/openapi.json` and `/docs`: the service describes itself, to programs and to people."""

from collections.abc import Callable

import orjson
from flask import Blueprint, Response, current_app, request

from app.api.contract import Contract, Gives, promises
from app.api.guard import needs
from app.api.http import JSON
from app.api.openapi import document
from app.api.page import POLICY, page
from app.api.schemas import DocumentView
from app.core.principals import PUBLIC

_PAGE = "text/html"


def description_routes() -> Blueprint:
    """Return the routes; each makes what it answers once."""
    routes = Blueprint("description", __name__)
    made: dict[str, bytes] = {}

    def described(form: str, make: Callable[[], bytes]) -> Response:
        if form not in made:
            made[form] = make()
        response = Response(made[form], mimetype=form, headers={"Cache-Control": "public, max-age=300"})
        response.add_etag()
        response.make_conditional(request)
        return response

    @routes.get("/openapi.json")
    @needs(PUBLIC)
    @promises(
        Contract(
            {
                200: Gives("The document.", DocumentView, bare=True, headers=("ETag",)),
                304: Gives("Unchanged.", headers=("ETag",)),
            },
            headers=("If-None-Match",),
        )
    )
    def openapi() -> Response:  # pyright: ignore[reportUnusedFunction] - the decorator keeps it
        """Return this document, without the routes that this instance does not have."""
        return described(JSON, lambda: orjson.dumps(document(current_app)))

    @routes.get("/docs")
    @needs(PUBLIC)
    @promises(
        Contract(
            {
                200: Gives("The page.", forms=(_PAGE,), headers=("ETag",)),
                304: Gives("Unchanged.", headers=("ETag",)),
            },
            headers=("If-None-Match",),
        )
    )
    def docs() -> Response:  # pyright: ignore[reportUnusedFunction] - the decorator keeps it
        """Return a page about the API for people."""
        response = described(_PAGE, lambda: page(document(current_app)).encode())
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return routes
