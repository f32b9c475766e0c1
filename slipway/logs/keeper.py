"""Keeps the indices of logs in order: their template, how long and how much is kept, and figures about them.

A program of its own in the cluster, with the standard library alone: any image with Python runs it as it is. What it
does by hand, lifecycle policies would do in the full distribution; the core that the Maven repository carries has none,
and one way for both is one way that is proven (docs/adr/0043-logs-in-dated-indices.md).
"""

import base64
import json
import logging
import os
import re
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

INDEX: Final = "slipway-logs"
#: Traces are kept beside them (`infra.components.traces`), for as long, and in the same room.
TRACES: Final = "slipway-jaeger"
PORT: Final = 9114
#: Seconds between two rounds, and after a round that failed.
EVERY: Final = 60.0
AGAIN: Final = 5.0
_LOG: Final = logging.getLogger("log-keeper")
_NAME: Final = re.compile(rf"(?:{INDEX}|{TRACES}-[a-z]+)-([0-9.]+)")
_STATUS: Final = {"red": 0, "yellow": 1, "green": 2}

_KEYWORDS: Final = (
    "log.level",
    "log.logger",
    "log.iostream",
    "service.name",
    "service.version",
    "service.environment",
    "labels.colour",
    "labels.format",
    "event.action",
    "event.dataset",
    "event.outcome",
    "http.request.id",
    "http.request.method",
    "http.route",
    "url.path",
    "trace.id",
    "span.id",
    "error.code",
    "error.type",
    "kubernetes.namespace",
    "kubernetes.node.name",
    "kubernetes.pod.name",
    "kubernetes.pod.uid",
    "kubernetes.container.name",
)


def template(replicas: int) -> dict[str, Any]:
    """What each new index is made with.

    Only what is asked for by is indexed. Everything else is kept and shown, but can neither fill the table of fields
    nor, by having two types, make Elasticsearch refuse a line.

    Args:
        replicas: Copies of each index besides the first.
    """
    properties: dict[str, dict[str, object]] = {name: {"type": "keyword", "ignore_above": 1024} for name in _KEYWORDS}
    properties |= {
        "@timestamp": {"type": "date_nanos"},
        "message": {"type": "text"},
        "event.duration": {"type": "long", "ignore_malformed": True},
        "log.offset": {"type": "long"},
        "http.response.status_code": {"type": "short", "ignore_malformed": True},
    }
    return {
        "index_patterns": [f"{INDEX}-*"],
        "priority": 500,
        "template": {
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": replicas,
                "refresh_interval": "5s",
            },
            # Names with dots stay names: a program that writes `error` as a text cannot clash with `error.type`.
            "mappings": {"dynamic": False, "subobjects": False, "properties": properties},
        },
    }


@dataclass(frozen=True)
class Index:
    """One day of logs or of a kind of traces: name, entries, and bytes of its first copy."""

    name: str
    lines: int
    size: int

    @property
    def day(self) -> date | None:
        """The day that its name tells; None for a name that is not ours."""
        named = _NAME.fullmatch(self.name)
        try:
            return None if named is None else datetime.strptime(named[1], "%Y.%m.%d").replace(tzinfo=UTC).date()
        except ValueError:
            return None

    @property
    def logs(self) -> bool:
        """Whether its entries are lines."""
        return self.name.startswith(f"{INDEX}-")


def superfluous(indices: Sequence[Index], today: date, *, days: int, budget: int) -> list[str]:
    """The indices to delete: those older than some days, then the oldest until the rest fits. Never today's.

    Args:
        indices: All there are.
        today: The day, in UTC.
        days: How many days are kept, today's included.
        budget: Bytes that all may have together.
    """
    ours = sorted(((day, it) for it in indices if (day := it.day) is not None and day < today), key=_oldest)
    kept = sum(it.size for it in indices)
    gone: list[str] = []
    for day, it in ours:
        if day <= today - timedelta(days=days) or kept > budget:
            gone.append(it.name)
            kept -= it.size
    return gone


def _oldest(found: tuple[date, Index]) -> tuple[date, str]:
    day, index = found
    return day, index.name


@dataclass
class State:
    """What the last round found.

    Attributes:
        indices: All indices, after deleting.
        status: Colour of Elasticsearch's health.
        done: Unix time of the last round that went through; 0 before the first.
        failed: Rounds that failed.
        deleted: Indices deleted.
    """

    indices: Sequence[Index] = ()
    status: str = "red"
    done: float = 0.0
    failed: int = 0
    deleted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def exposition(state: State) -> str:
    """The figures, in Prometheus' text format (version 0.0.4)."""
    with state.lock:
        logs, traces = ([it for it in state.indices if it.logs is wanted] for wanted in (True, False))
        days = [day for it in logs if (day := it.day)]
        oldest = min(days, default=None)
        midnight = 0.0 if oldest is None else datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC).timestamp()
        figures = (
            ("slipway_logs_health", "gauge", "Elasticsearch: 0 red, 1 yellow, 2 green.", _STATUS.get(state.status, 0)),
            ("slipway_logs_lines", "gauge", "Lines that are kept.", sum(it.lines for it in logs)),
            ("slipway_logs_bytes", "gauge", "Bytes of one copy of them.", sum(it.size for it in logs)),
            ("slipway_traces_bytes", "gauge", "Bytes of one copy of all spans.", sum(it.size for it in traces)),
            ("slipway_logs_oldest_timestamp_seconds", "gauge", "Begin of the oldest day that is kept.", midnight),
            ("slipway_logs_round_timestamp_seconds", "gauge", "When indices were last put in order.", state.done),
            ("slipway_logs_rounds_failed_total", "counter", "Times that this failed.", state.failed),
            ("slipway_logs_deleted_total", "counter", "Indices deleted, by age or size.", state.deleted),
        )
    return "".join(f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {it}\n" for name, kind, text, it in figures)


class Store:
    """The little of Elasticsearch that is needed.

    Args:
        url: Where it is.
        user: As whom.
        password: That user's.
        context: Whom to trust.
    """

    def __init__(self, url: str, user: str, password: str, context: ssl.SSLContext) -> None:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        self._url, self._context = url.rstrip("/"), context

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask. Raises `OSError` if it does not answer, or refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data, self._headers, method=method)  # noqa: S310  # https
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:  # noqa: S310  # the same
            return json.load(answer)


def keep(ask: Callable[..., Any], state: State, *, days: int, budget: int, replicas: int) -> None:
    """One round. Raises `OSError` if Elasticsearch does not do what it is asked for.

    Args:
        ask: See `Store`.
        state: What is found goes here.
        days: How many days are kept.
        budget: Bytes that one copy of all may have.
        replicas: Copies of each index besides the first.
    """
    ask("PUT", f"/_index_template/{INDEX}", template(replicas))
    found = _indices(ask)
    gone = superfluous(found, datetime.now(UTC).date(), days=days, budget=budget)
    for name in gone:
        ask("DELETE", f"/{name}")
        _LOG.info("deleted %s", name)
    status = ask("GET", "/_cluster/health")["status"]
    with state.lock:
        state.indices = [it for it in found if it.name not in gone]
        state.status, state.done = status, time.time()
        state.deleted += len(gone)


def _indices(ask: Callable[..., Any]) -> list[Index]:
    stats = ask("GET", f"/{INDEX}-*,{TRACES}-*/_stats/docs,store")["indices"]
    return [
        Index(name, it["primaries"]["docs"]["count"], it["primaries"]["store"]["size_in_bytes"])
        for name, it in stats.items()
    ]


def handler(state: State) -> type[BaseHTTPRequestHandler]:
    """Answers `/metrics`, and `/ready`: 200 once the template is there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = state.done > 0
            text = exposition(state) if self.path == "/metrics" else ("ready\n" if ready else "no round yet\n")
            self.send_response(200 if self.path in {"/metrics", "/live"} or ready else 503)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            """Probes and scrapes are no events."""

    return Handler


class _Ecs(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON with ECS names."""
        return json.dumps(
            {
                "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
                "ecs.version": "8.17.0",
                "log.level": record.levelname.lower(),
                "message": record.getMessage(),
                "service.name": "log-keeper",
            }
        )


def main() -> None:
    """Run until ended."""
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(_Ecs())
    logging.basicConfig(level=logging.INFO, handlers=[output])
    given = os.environ
    ask = Store(
        given["ELASTICSEARCH_URL"],
        given["ELASTICSEARCH_USER"],
        Path(given["ELASTICSEARCH_PASSWORD_FILE"]).read_text(encoding="utf-8").strip(),
        ssl.create_default_context(cafile=given["ELASTICSEARCH_CA_FILE"]),
    )
    wanted = {"days": int(given["DAYS"]), "budget": int(given["BYTES"]), "replicas": int(given["REPLICAS"])}
    state = State()
    server = ThreadingHTTPServer(("", PORT), handler(state))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        try:
            keep(ask, state, **wanted)
            time.sleep(EVERY)
        except (OSError, ValueError, KeyError) as error:
            with state.lock:
                state.failed += 1
            _LOG.warning("Elasticsearch was not put in order: %s", error)
            time.sleep(AGAIN)


if __name__ == "__main__":
    main()
