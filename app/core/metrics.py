"""Request metrics by prometheus-flask-exporter, served on a port of their own that answers nothing else."""

import errno
import logging
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

from flask import Flask
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_flask_exporter import PrometheusMetrics
from typing_extensions import override

from app.core.settings import Settings

_LOG = logging.getLogger(__name__)
_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def install(app: Flask, settings: Settings, registry: CollectorRegistry) -> None:
    """Count and time every request by its route's rule, never by its path."""
    PrometheusMetrics(
        app,
        path=cast("str", None),  # not on the port that users reach; the library's annotation is too narrow
        group_by="url_rule",
        buckets=_BUCKETS,
        default_labels={"colour": settings.colour, "version": settings.version},
        excluded_paths="^/(livez|readyz)$",
        registry=registry,
    )


def serve(port: int, registry: CollectorRegistry) -> ThreadingHTTPServer | None:
    """Serve `GET /metrics` from a thread; None if another worker of this pod already does.

    With several workers the numbers of all of them are read from the folder that they share, whichever one answers.
    """
    if os.environ.get(MULTIPROCESS_FOLDER):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    try:
        server = ThreadingHTTPServer(("0.0.0.0", port), _handler(registry))  # noqa: S104 - scraped from other pods
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _LOG.info("another worker serves the metrics", extra={"server.port": port})
            return None
        raise
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one path."""

        def do_GET(self) -> None:
            """Answer a scrape."""
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            body = encode(registry)
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Keep scrapes out of the log."""

    return Handler
