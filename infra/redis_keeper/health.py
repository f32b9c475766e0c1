"""What a kubelet asks about a member, answered over HTTP by its keeper, which has just looked at it anyway.

Probes that start programs in containers were a good part of what an idle cluster used (ADR 129).
"""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, final

from infra.redis_keeper.decision import Member, Word

#: Seconds for which a look counts. A round takes less than five while nobody else answers.
_COUNTS: Final = 10.0
#: Seconds without a round after which the keeper hangs.
_HANGS: Final = 60.0


@final
class Health:
    """What the last round saw of the member's own pod.

    Args:
        now: A clock that only goes on, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._looked = now()
        self._lacks = "no round yet"

    def saw(self, own: Member | None, mine: Word | None) -> None:
        """Keep what its Redis and its Sentinel said; None for one that did not answer.

        Ready is who has a role: it serves as master, or its master sends it every write. So a rolling update waits for
        each member to be whole before it takes the next.
        """
        self._looked = self._now()
        if own is None:
            self._lacks = "its Redis does not answer, or still loads its data"
        elif not (own.master or own.linked):
            self._lacks = "its Redis is neither master nor told of every write"
        elif mine is None:
            self._lacks = "its Sentinel does not answer"
        else:
            self._lacks = ""

    def lacks(self) -> str:
        """Why the member is not ready; empty if it is."""
        return self._lacks if self._now() - self._looked < _COUNTS else "its keeper has not looked at it lately"

    def hangs(self) -> bool:
        """Whether the keeper goes round no more."""
        return self._now() - self._looked >= _HANGS


class _Handler(BaseHTTPRequestHandler):
    """`/readyz` of the member, `/livez` of its keeper, and nothing else."""

    server: "Endpoint"  # pyright: ignore[reportIncompatibleVariableOverride] - the only server it is used with

    def do_GET(self) -> None:
        """Answer one request."""
        health = self.server.health
        match self.path:
            case "/readyz":
                lacks = health.lacks()
                self._answer(503 if lacks else 200, lacks)
            case "/livez":
                self._answer(503 if health.hangs() else 200, "")
            case _:
                self._answer(404, "there are /readyz and /livez")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
        """Say nothing: probes are no news."""
        del format, args


@final
class Endpoint(ThreadingHTTPServer):
    """Answers for a member until it is left.

    Args:
        port: to listen on; 0 takes a free one.
        health: what it tells.
    """

    daemon_threads = True

    def __init__(self, port: int, health: Health) -> None:
        super().__init__(("", port), _Handler)
        self.health = health
        self._thread = threading.Thread(target=self.serve_forever, name="health", daemon=True)

    def __enter__(self) -> "Endpoint":
        """Answer from now on, in a thread of its own."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()
        self._thread.join(timeout=5)
