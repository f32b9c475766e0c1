"""Request metrics by prometheus-flask-exporter, served on a port of their own that answers nothing else."""

import errno
import logging
import os
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_flask_exporter import PrometheusMetrics
from typing_extensions import override

from app.core.here import context, current
from app.core.settings import Settings
from app.core.turns import PROBES

_LOG = logging.getLogger(__name__)
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def install(app: Flask, settings: Settings, registry: CollectorRegistry) -> None:
    """Count and time every request by its route's rule, never by its path; goes inside of `app.core.requests`."""
    _Exporter(
        app,
        path=cast("str", None),  # not on the port that users reach; the library's annotation is too narrow
        buckets=BUCKETS,
        default_labels={"colour": settings.colour, "version": settings.version},
        registry=registry,
    )


class _Exporter(PrometheusMetrics):
    """The library's series, each found once for a method, rule and status, and not by its labels at every request."""

    @override
    def export_defaults(  # pyright: ignore[reportIncompatibleMethodOverride] - all that the library gives, by name
        self, *, app: Flask, buckets: Sequence[float], **_: object
    ) -> None:
        labels = cast("dict[str, str]", self._default_labels)
        same = tuple(labels.values())
        self.info("flask_exporter_info", "Information about the Prometheus Flask exporter", version=self.version)
        duration = Histogram(
            "flask_http_request_duration_seconds",
            "Flask HTTP request duration in seconds",
            ("method", "url_rule", "status", *labels),
            buckets=buckets,
            registry=self.registry,
        )
        total, exceptions = (
            Counter(f"flask_http_request{name}_total", what, ("method", "status", *labels), registry=self.registry)
            for name, what in (
                ("", "Total number of HTTP requests"),
                ("_exceptions", "Total number of HTTP requests which resulted in an exception"),
            )
        )
        known: dict[tuple[str, str | None, int], tuple[Histogram, Counter]] = {}

        def count(status: int) -> None:
            asked, here = current(), context().g
            if asked.path in PROBES or "counted" in here:
                return
            here.counted = True  # an answer that broke on its way comes here again
            rule = asked.url_rule
            key = (asked.method, None if rule is None else rule.rule, status)
            series = known.get(key)
            if series is None:
                method, name, code = map(str, key)
                series = duration.labels(method, name, code, *same), total.labels(method, code, *same)
                known[key] = series
            series[0].observe((time.perf_counter_ns() - here.started) / 1e9)
            series[1].inc()

        def answered(response: Response) -> Response:
            count(response.status_code)
            return response

        def broken(error: BaseException | None) -> None:
            if error is not None and current().path not in PROBES:
                exceptions.labels(current().method, 500, *same).inc()
                count(500)

        app.after_request(answered)
        app.teardown_request(broken)


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
