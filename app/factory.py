"""Makes the application from its settings; the only place where the parts are put together."""

from flask import Flask
from prometheus_client import REGISTRY, CollectorRegistry

from app.api import errors
from app.api.health import health
from app.api.users import users
from app.core import metrics, requests
from app.core.cursors import CursorSigner
from app.core.database import Database
from app.core.drain import Drain
from app.core.parts import Parts, attach
from app.core.secret_files import read_secret
from app.core.settings import Settings

_MAX_BODY_BYTES = 64 * 1024


def create_app(settings: Settings, registry: CollectorRegistry = REGISTRY) -> Flask:
    """Return a WSGI application; nothing is connected until the first request."""
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.url_map.strict_slashes = False
    attach(
        app,
        Parts(
            settings=settings,
            database=Database(settings),
            # One secret that all processes of an environment share already.
            cursors=CursorSigner.from_secret(read_secret(settings.database_url_file)),
            drain=Drain(),
        ),
    )
    requests.install(app, settings)
    metrics.install(app, settings, registry)
    errors.install(app)
    app.register_blueprint(health)
    app.register_blueprint(users)
    return app
