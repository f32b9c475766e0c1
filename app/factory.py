"""Makes the application from its settings; the only place where the parts are put together."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from flask_cors import CORS
from prometheus_client import REGISTRY, CollectorRegistry
from typing_extensions import override
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

from app.api import errors, guard, limits, versions
from app.api.access import access_routes, token_routes
from app.api.contract import refuse_unmet_accept
from app.api.crud import SURFACES, Crud
from app.api.description import description_routes
from app.api.exports import export_routes
from app.api.graphql import graphql_routes
from app.api.health import health
from app.api.learning import learning
from app.core import faults, metrics, requests
from app.core.cache import Cache, connect
from app.core.cursors import CursorSigner
from app.core.database import Database
from app.core.drain import Drain
from app.core.flags import Flags
from app.core.issuer import IssuerTokens
from app.core.parts import Parts, attach
from app.core.rate_limit import RateLimiter
from app.core.readiness import Readiness
from app.core.secret_files import read_key, read_secret
from app.core.settings import Settings
from app.core.streams import Streams
from app.core.tokens import Keyring
from app.core.turns import Turns
from app.services.access import digest

_MAX_BODY_BYTES = 64 * 1024


def create_app(settings: Settings, registry: CollectorRegistry = REGISTRY) -> Flask:
    """Return a WSGI application; nothing is connected until the first request."""
    app = _Service("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # a path with too many is not there, like any other: 404, no redirect
    turns = Turns(
        settings.threads,
        settings.waiting,
        queue=settings.queue,
        patience=settings.request_seconds,
        registry=registry,
    )
    database = Database(settings, turns)
    # Counts of requests may be lost as what is cached may: they are beside it, not among what must be kept.
    cache_url_file = settings.cache_url_file or settings.redis_url_file
    redis = told = None
    if cache_url_file is not None:
        redis = connect(cache_url_file, settings.threads, settings.redis_ca_file)
        told = connect(cache_url_file, 1, settings.redis_ca_file, protocol=2)
    attach(
        app,
        Parts(
            settings=settings,
            turns=turns,
            database=database,
            cursors=CursorSigner.from_secret(read_secret(settings.cursor_key_file or settings.database_url_file)),
            cache=Cache(redis, settings.environment, registry, told),
            limiter=RateLimiter(redis, settings.environment, registry),
            drain=Drain(),
            flags=Flags(settings.flags_file),
            streams=Streams(settings.threads),
            readiness=Readiness(database.check),
            keyring=None if settings.signing_key_file is None else Keyring.from_file(settings.signing_key_file),
            issuer=None if settings.external_issuer is None else IssuerTokens(settings.external_issuer),
            bootstrap_key=(
                None if settings.bootstrap_key_file is None else digest(read_key(settings.bootstrap_key_file))
            ),
        ),
    )
    for _, install in layers(settings, registry):
        install(app)
    register_routes(app, tokens=settings.signing_key_file is not None)
    return app


class _NoSessions(SessionInterface):
    """Nothing is kept between requests."""

    _none = NullSession()

    @override
    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return self._none


class _Service(Flask):
    """Flask without what this service has no use for, and each request would pay for."""

    session_interface = _NoSessions()

    @override
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func  # no view is a coroutine

    @override
    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        # By path and method alone: no route and no address that is told knows a host.
        return MapAdapter(self.url_map, "", request.root_path, "", "http", request.path, request.method)


def layers(settings: Settings, registry: CollectorRegistry) -> list[tuple[str, Callable[[Flask], object]]]:
    """What stands around every route, from the outside in, each with its name; the order matters."""
    around: list[tuple[str, Callable[[Flask], object]]] = []
    if settings.trusted_proxies:
        around.append(("address of the client", lambda app: _believe_proxies(app, settings.trusted_proxies)))
    around += [
        ("ids, headers, access line", lambda app: requests.install(app, settings)),
        ("metrics", lambda app: metrics.install(app, settings, registry)),
        ("faults", lambda app: faults.install(app, settings.faults)),
    ]
    if settings.cors_origins:
        around.append(("CORS", lambda app: _let_pages_in(app, settings.cors_origins)))
    around += [
        ("forms that are accepted", lambda app: app.before_request(refuse_unmet_accept)),
        ("who asks", guard.install_identification),
        ("how often", limits.install),
        ("who may", guard.install_permission),
        ("version by Accept", lambda app: versions.install(app, _newer_versions())),
        ("problems", errors.install),
    ]
    return around


def _believe_proxies(app: Flask, proxies: int) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)


def _let_pages_in(app: Flask, origins: Sequence[str]) -> None:
    CORS(
        app,
        resources=r"/(v[0-9]+|api)/.*",
        origins=list(origins),
        expose_headers=["ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"],
        max_age=600,
    )


def _newer_versions() -> dict[str, list[int]]:
    return {f"{surface.kind.name}s": [surface.version] for surface in SURFACES if surface.version > 1}


def register_routes(app: Flask, *, tokens: bool) -> None:
    """Give `app` its routes; those of tokens only where there is a key to sign them."""
    for blueprint in (health, description_routes(), learning, export_routes, graphql_routes, access_routes):
        app.register_blueprint(blueprint)
    if tokens:
        app.register_blueprint(token_routes)
    for surface in SURFACES:
        app.register_blueprint(Crud(surface).blueprint())
