"""The gunicorn application: one pool of threads per worker, and a stop that loses no request."""

import math
import os
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import REGISTRY
from prometheus_client.multiprocess import mark_process_dead
from typing_extensions import override

from app.core import metrics, reports, spans, wire
from app.core.gauges import Gauges
from app.core.parts import parts_of
from app.core.settings import Settings
from app.core.turns import DOORS
from app.factory import create_app

if TYPE_CHECKING:
    from flask import Flask

# Longer than any proxy keeps an idle connection, so that it is the proxy that closes it.
_KEEPALIVE_SECONDS = 65
_HUNG_WORKER_SECONDS = 30


class DrainingWorker(ThreadWorker):
    """On SIGTERM: say "not ready", go on serving until the load balancers have noticed, then stop.

    gunicorn alone stops accepting at once, and drops what waits in the backlog.
    """

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        parts = parts_of(cast("Flask", self.wsgi))
        if parts.drain.begun:
            return
        parts.drain.begin()
        # Every answer from now on closes its connection: clients leave one by one, between two requests.
        self.cfg.set("keepalive", 0)
        timer = threading.Timer(parts.settings.drain_seconds, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()


class WholeResponse(wsgi.Response):
    """Sends the headers together with the first piece of the body.

    gunicorn writes them one after the other. A process that is killed between the two leaves half an answer, which no
    proxy can ask for again; one that is killed before a single write leaves nothing, and HAProxy asks another pod.
    """

    _head = b""

    @override
    def send_headers(self) -> None:
        if self.headers_sent:
            return
        held = _Held()
        sock, self.sock = self.sock, cast("Any", held)
        try:
            super().send_headers()
        finally:
            self.sock = sock
        self._head = held.data

    def _emit_body(self, data: bytes) -> None:  # overrides; newer than the type stubs
        head, self._head = self._head, b""
        self.sock.sendall(head + (b"%X\r\n%s\r\n" % (len(data), data) if self.chunked else data))

    @override
    def close(self) -> None:
        self.send_headers()
        if self._head:  # there was no body
            self.sock.sendall(self._head)
            self._head = b""
        super().close()


class _Held:
    """Stands in for a socket; keeps what is written."""

    data = b""

    def sendall(self, data: bytes) -> None:
        self.data += data


class _Silent(Logger):
    """Leaves logging as `configure_logs` made it: one JSON handler for everything."""

    @override
    def setup(self, cfg: Any) -> None:
        self.error_log.propagate = True


class PayloadServer(BaseApplication):
    """gunicorn, configured by our settings alone: no command line, no file, no environment of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    @override
    def load_config(self) -> None:
        settings = self._settings
        # gunicorn has no settings for these two.
        wsgi.Response = WholeResponse
        util.write_error = wire.problem_writer(settings)
        values: dict[str, Any] = {
            "bind": f"0.0.0.0:{settings.port}",
            "workers": settings.workers,
            "threads": settings.threads + settings.waiting + settings.queue + DOORS,
            "worker_class": DrainingWorker,
            "logger_class": _Silent,
            "accesslog": None,  # the application writes the access line, with the request's id
            "keepalive": _KEEPALIVE_SECONDS,
            "limit_request_line": wire.LINE_BYTES,
            "limit_request_fields": wire.HEADERS,
            "limit_request_field_size": wire.HEADER_BYTES,
            "sendfile": False,  # writes past the response class; the service sends no files
            "timeout": _HUNG_WORKER_SECONDS,
            "graceful_timeout": math.ceil(settings.drain_seconds + settings.graceful_seconds),
            "control_socket_disable": True,  # its default place is in a home folder, which is read-only
            "post_worker_init": self._begin_worker,
            "worker_exit": _end_worker,
            "child_exit": _forget_worker,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    @override
    def load(self) -> Any:
        app = create_app(self._settings)
        around = parts_of(app).turns.around(app.wsgi_app, wire.overloaded(self._settings))
        app.wsgi_app = cast("Any", around)  # by its type it is a method
        return app

    def _begin_worker(self, worker: Any) -> None:
        """Start threads where they live: after the fork."""
        metrics.serve(self._settings.metrics_port, REGISTRY)
        Gauges(parts_of(cast("Flask", worker.wsgi)), REGISTRY).begin()
        reports.configure(self._settings)
        spans.configure(self._settings)


def _forget_worker(_server: Any, worker: Any) -> None:
    """What a process was full of ends with it; what it counted stays."""
    if os.environ.get(metrics.MULTIPROCESS_FOLDER):
        mark_process_dead(worker.pid)


def _end_worker(_server: Any, _worker: Any) -> None:
    reports.flush()
    spans.flush()
