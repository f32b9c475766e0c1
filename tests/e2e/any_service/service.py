"""A service in forty lines: no database, no metrics, nothing of Slipway."""

import itertools
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION, BAD, STUBBORN = (os.environ.get(name, "") for name in ("VERSION", "BAD", "STUBBORN"))
stopping, numbers = threading.Event(), itertools.count()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(1.5 if self.path == "/slow" else 0)
        status = 503 if self.path == "/ready" and stopping.is_set() else 200
        if BAD and self.path == "/" and next(numbers) % 2:
            status = 500
        body = f"notes {VERSION}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Slipway-Colour", os.environ.get("SLIPWAY_COLOUR", ""))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what has begun is finished before the end
    block_on_close = True


server = Server(("", 8000), Handler)
Handler.timeout = 2  # idle connections do not hold up the end


def stop(*_):
    stopping.set()
    if not STUBBORN:
        threading.Timer(1.5, server.shutdown).start()


signal.signal(signal.SIGTERM, stop)
server.serve_forever()
server.server_close()
