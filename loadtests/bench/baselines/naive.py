"""The naive full stack: what the payload does for every request, each part by the library's own integration.

Tokens are verified at each request (PyJWT), callers counted in Redis in a fixed window, requests counted and timed by
prometheus-flask-exporter, errors watched by Sentry's integrations without tracing, one JSON line logged for each
request (python-json-logger), headers for request id and security set one by one, pooled connections pinged before use,
users cached in Redis, and a creation written with audit entry, message and idempotency key, one statement each.
"""

import hashlib
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import sentry_sdk
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flask import Flask, Response, abort, g, jsonify, request
from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics
from pythonjsonlogger.json import JsonFormatter
from redis import Redis
from sqlalchemy import text

from loadtests.bench.baselines.tables import Post, User, sessions

_LOG = logging.getLogger("naive.access")
_WINDOW_SECONDS, _REQUESTS = 60, 600
_CACHE_SECONDS = 60
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
_AUDIT = text(
    "INSERT INTO audit_log (id, at, actor, action, subject, client_ip, request_id)"
    " VALUES (:id, :at, :actor, 'user.create', :subject, :client_ip, :request_id)"
)
_MESSAGE = text(
    "INSERT INTO messages (topic, payload, trace, attempts, due_at) VALUES ('user.created', :payload, :trace, 0, :at)"
)
_CLAIM = text(
    "INSERT INTO idempotency_keys (scope, key, request_hash, result, replays, created_at)"
    " VALUES (:scope, :key, :request_hash, :result, 0, :at) ON CONFLICT DO NOTHING RETURNING key"
)


def create_app() -> Flask:
    """Return the application."""
    sentry_sdk.init(dsn=os.environ["BENCH_SENTRY_DSN"], release="1.0.0", environment="production")
    app = Flask("naive")
    _, session_of = sessions(pool_pre_ping=True)
    redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
    GunicornInternalPrometheusMetrics(app, group_by="url_rule")
    _log_as_json()
    _surround(app, redis)

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
        cached: Any = redis.get(f"user:{user_id}")
        if cached is not None:
            return jsonify(json.loads(cached))
        with session_of() as session:
            found = session.get(User, user_id) or abort(404)
            shown = found.shown()
        redis.set(f"user:{user_id}", json.dumps(shown, default=str), ex=_CACHE_SECONDS)
        return jsonify(shown)

    @app.post("/v1/users")
    def create() -> tuple[Response, int]:  # pyright: ignore[reportUnusedFunction]
        body = request.get_json()
        now = datetime.now(UTC)
        made = User(id=uuid.uuid4(), name=body["name"], email=body["email"], version=1, created_at=now, updated_at=now)
        shown = json.dumps(made.shown(), default=str)
        with session_of.begin() as session:
            claim = {
                "scope": f"user:{g.user} POST /v1/users",
                "key": request.headers["Idempotency-Key"],
                "request_hash": hashlib.sha256(request.get_data()).digest(),
                "result": shown,
                "at": now,
            }
            if session.execute(_CLAIM, claim).one_or_none() is None:
                abort(409)
            session.add(made)
            session.flush()
            act = {
                "id": uuid.uuid4(),
                "at": now,
                "actor": f"user:{g.user}",
                "subject": str(made.id),
                "client_ip": request.remote_addr,
                "request_id": g.request_id,
            }
            session.execute(_AUDIT, act)
            session.execute(_MESSAGE, {"payload": shown, "trace": g.request_id, "at": now})
        return jsonify(made.shown()), 201

    return app


def _log_as_json() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _surround(app: Flask, redis: Redis) -> None:
    @app.before_request
    def begin() -> None:  # pyright: ignore[reportUnusedFunction]
        g.request_id = request.headers.get("X-Request-ID") or uuid.uuid4().hex
        g.started = time.perf_counter()

    app.before_request(_identified(_public_key()))
    app.before_request(_limited(redis))

    @app.after_request
    def finish(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction]
        response.headers["X-Request-ID"] = g.request_id
        for name, value in _SECURITY.items():
            response.headers[name] = value
        if "remaining" in g:
            response.headers["RateLimit"] = f'"requests";r={g.remaining};t={_WINDOW_SECONDS}'
        _LOG.info(
            "request",
            extra={
                "duration": time.perf_counter() - g.started,
                "request_id": g.request_id,
                "method": request.method,
                "status": response.status_code,
                "route": request.url_rule.rule if request.url_rule else None,
                "path": request.path,
                "client": request.remote_addr,
            },
        )
        return response


def _public_key() -> Ed25519PublicKey:
    signing = load_pem_private_key(Path(os.environ["BENCH_SIGNING_KEY_FILE"]).read_bytes(), None)
    if not isinstance(signing, Ed25519PrivateKey):
        raise TypeError("BENCH_SIGNING_KEY_FILE holds no Ed25519 key")
    return signing.public_key()


def _identified(public: Ed25519PublicKey) -> Callable[[], None]:
    def identify() -> None:
        if not request.path.startswith("/v1/"):
            return
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, public, ["EdDSA"], issuer="slipway-payload", audience="payload")
        except jwt.PyJWTError:
            abort(401)
        g.user = claims["sub"]
        if claims["role"] not in {"viewer", "editor", "admin"}:
            abort(403)

    return identify


def _limited(redis: Redis) -> Callable[[], None]:
    def limit() -> None:
        if not request.path.startswith("/v1/"):
            return
        name = f"limit:{g.user}:{int(time.time() // _WINDOW_SECONDS)}"
        with redis.pipeline(transaction=False) as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, _WINDOW_SECONDS)
            count, _ = pipeline.execute()
        g.remaining = _REQUESTS - count
        if g.remaining < 0:
            abort(429)

    return limit
