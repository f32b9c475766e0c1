"""What each layer around a route costs: the application with one layer, two, three ... called in one thread.

A program of its own, because its log lines go to stdout as those of the service do. Its first argument is a JSON
object: where Postgres, Redis and the signing key are, and how many times everything is called. The last line of stderr
is a JSON object, layer -> microseconds.
"""

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response
from prometheus_client import CollectorRegistry

from app.api.guard import needs
from app.core.logs import configure_logs
from app.core.parts import attach, parts_of
from app.core.principals import Role
from app.core.settings import RateLimits, Settings
from app.core.tokens import Keyring
from app.factory import create_app, layers
from app.seed import same_id

CALLS = 100
PATH = "/v1/nothing"
BODY = {"version": "1.0.0", "colour": "none", "environment": "production"}


def main(given: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "redis").write_text(given["redis"])
        settings = Settings(
            database_url_file=Path(given["database"]),
            redis_url_file=folder / "redis",
            signing_key_file=Path(given["key"]),
            environment="production",
            trusted_proxies=1,
            rate_limits=RateLimits(requests=1_000_000),  # counted as any limit is, and never reached
        )
        configure_logs(settings)
        token = Keyring.from_file(Path(given["key"])).issue(same_id("user", 0), Role.EDITOR, datetime.now(UTC))
        whole = create_app(settings, CollectorRegistry())
        names = [layer for layer, _ in layers(settings, CollectorRegistry())]
        apps = [bare(), *(with_layers(whole, settings, count) for count in range(len(names) + 1))]
        times = [float("inf")] * len(apps)
        for _ in range(given["times"]):  # interleaved, the best of each: what disturbs is never a layer's own
            for number, app in enumerate(apps):
                times[number] = min(times[number], timed(app, token))
        parts_of(whole).database.close()
    costs = [later - earlier for earlier, later in pairwise(times)]
    return {"bare Flask, in all": times[0], "orjson": costs[0]} | dict(zip(names, costs[1:], strict=True))


def bare() -> Any:
    app = Flask("bare")

    @app.get(PATH)
    def nothing() -> dict[str, object]:
        return BODY

    return app


def with_layers(whole: Flask, settings: Settings, count: int) -> Any:
    app = Flask("layers", static_folder=None)
    attach(app, parts_of(whole))
    for _, install in layers(settings, CollectorRegistry())[:count]:
        install(app)

    @app.get(PATH)
    @needs("users:read")
    def nothing() -> Response:
        return Response(orjson.dumps(BODY), mimetype="application/json")

    return app


def timed(app: Any, token: str) -> float:
    """CPU microseconds of this process for a call."""
    begun = time.process_time()
    for _ in range(CALLS):
        call(app, token)
    return (time.process_time() - begun) / CALLS * 1e6


def call(app: Callable[..., Any], token: str) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": PATH,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8080",
        "HTTP_ACCEPT": "*/*",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    body = app(environ, lambda _status, _headers, _error=None: None)
    b"".join(body)
    close = getattr(body, "close", None)
    if close is not None:
        close()


if __name__ == "__main__":
    sys.stderr.write("\n" + json.dumps(main(json.loads(sys.argv[1]))) + "\n")
