"""The gunicorn application: one pool of threads per worker, and a stop that loses no request."""

import math
import os
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, cast

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
from app.core.turns import PROBES
from app.factory import create_app

if TYPE_CHECKING:
    from flask import Flask

# Longer than any proxy keeps an idle connection, so that it is the proxy that closes it.
_KEEPALIVE_SECONDS = 65
_HUNG_WORKER_SECONDS = 30
# How long a new connection may say nothing. Not the setting for kept ones, which is 0 while the process drains.
_SILENT_SECONDS = 10
# Threads without a turn: they refuse, and answer probes.
_DOORS = 4
_PROBES: Final = tuple(f"GET {path} ".encode() for path in PROBES)


class PayloadWorker(ThreadWorker):
    """gunicorn's threads, with turns and a stop that loses no request.

    A request gets a thread when it gets a turn (`app.core.turns`); what waits keeps none. gunicorn alone lets all of it
    wait, however much it is. On SIGTERM: say "not ready", go on serving until the load balancers have noticed, then
    stop. gunicorn alone stops accepting at once, and drops what waits in the backlog.
    """

    _told = 0.0

    @override
    def load_wsgi(self) -> None:
        super().load_wsgi()
        parts = parts_of(cast("Flask", self.wsgi))
        parts.cache.near.follow()
        self._turns = parts.turns
        self._turns.serve(lambda conn: self.tpool.submit(self._turns.run, conn, self._answer))
        self._doors = ThreadPoolExecutor(_DOORS, "door")

    @override
    def notify(self) -> None:
        # The main process looks at this rarely, and it would be done twice for each request.
        if (now := time.monotonic()) - self._told >= 1:
            self._told = now
            super().notify()

    @override
    def enqueue_req(self, conn: Any) -> None:
        if not (conn.initialized or conn.data_ready):
            # A new connection, silent so far: who says nothing needs no thread.
            conn.timeout = time.monotonic() + _SILENT_SECONDS
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        elif _needs_no_turn(conn.sock) or not self._turns.ask(conn):
            self._doors.submit(self._answer, conn)

    @override
    def murder_pending(self) -> None:
        super().murder_pending()
        for conn in self._turns.expired():
            self._doors.submit(self._answer, conn)

    def _answer(self, conn: Any) -> None:
        """Answer a request, and give the connection back to the main thread."""
        self.method_queue.defer(self.finish_request, conn, _Answered(self.handle(conn)))

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


class _Answered:
    """What gunicorn wants to know of a request's end, without all that a `Future` is made of."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept

    def cancelled(self) -> bool:
        """Never."""
        return False

    def result(self) -> Any:
        """Whether the connection goes on."""
        return self._kept


def _needs_no_turn(sock: socket.socket) -> bool:
    """True if what has come on a connection, and is not read yet, is a probe, or the connection's end."""
    try:
        head = sock.recv(64, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False  # it was read ahead with the request before
    except OSError:
        return True
    return not head or head.startswith(_PROBES)


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
            "threads": settings.threads + settings.waiting,  # no more of them than are needed at once
            "worker_class": PayloadWorker,
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
