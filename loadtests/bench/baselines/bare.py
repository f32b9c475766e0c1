"""Bare Flask: the routes and nothing around them. SQLAlchemy's session as its tutorial uses it."""

from uuid import UUID

from flask import Flask, Response, abort, jsonify, request

from loadtests.bench.baselines.tables import Post, User, sessions


def create_app() -> Flask:
    """Return the application."""
    app = Flask("bare")
    _, session_of = sessions()

    @app.get("/version")
    def version() -> Response:  # pyright: ignore[reportUnusedFunction] - the decorator keeps it
        return jsonify(version="1.0.0", colour="none", environment="production")

    @app.get("/v1/posts/<uuid:post_id>")
    def post(post_id: UUID) -> Response:  # pyright: ignore[reportUnusedFunction]
        with session_of() as session:
            found = session.get(Post, post_id) or abort(404)
            return jsonify(found.shown())

    @app.get("/v1/users/<uuid:user_id>")
    def user(user_id: UUID) -> Response:  # pyright: ignore[reportUnusedFunction]
        with session_of() as session:
            found = session.get(User, user_id) or abort(404)
            return jsonify(found.shown())

    @app.post("/v1/users")
    def create() -> tuple[Response, int]:  # pyright: ignore[reportUnusedFunction]
        body = request.get_json()
        made = User(name=body["name"], email=body["email"])
        with session_of.begin() as session:
            session.add(made)
        return jsonify(made.shown()), 201

    return app
