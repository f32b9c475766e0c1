"""What holds for every test."""

import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

# Plain modules that all rooms share.
sys.path.insert(0, str(Path(__file__).parent / "support"))

# A busy machine is slow; how long an example takes is no property of what is tested.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")


@contextmanager
def _served(handler, attributes):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    for name, value in attributes.items():
        setattr(server, name, value)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def serve():
    """Start a server of HTTP on the loopback with a handler, and what that finds on it; it ends with the test."""
    with ExitStack() as stack:
        yield lambda handler, **attributes: stack.enter_context(_served(handler, attributes))
