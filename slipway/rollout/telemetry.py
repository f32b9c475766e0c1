"""What the controller says of itself: Prometheus metrics and JSON logs."""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from pythonjsonlogger.json import JsonFormatter

from slipway.rollout.deployments import Deployment, Result
from slipway.rollout.haproxy import RESPONSES, Tally
from slipway.rollout.observation import Rollout
from slipway.rollout.status import Colour, Phase

CLASSES: Final = (*(name.removeprefix("hrsp_") for name in RESPONSES), "error")
OBJECT: Final = ("namespace", "rollout")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
LEAD: Final = (5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 28 * _DAY)
RESTORE: Final = (5, 15, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, _DAY)


class Telemetry(Collector):
    """The metrics of one controller process.

    Responses per colour come from the routers' own counters, mapped from server to colour at each look. They are
    counted by the leader only, and every class is there from the start: a missing series would be no answer.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.leading = Gauge("slipway_rollout_leading", "1 while this process leads.", registry=self.registry)
        self.turns = Counter(
            "slipway_rollout_turns", "Turns of the loop by outcome.", (*OBJECT, "outcome"), registry=self.registry
        )
        self.phase = Gauge(
            "slipway_rollout_phase", "1 for the present phase.", (*OBJECT, "phase"), registry=self.registry
        )
        self.weight = Gauge(
            "slipway_rollout_weight", "Percent of the candidate.", (*OBJECT, "kind"), registry=self.registry
        )
        self.changed = Gauge(
            "slipway_rollout_phase_since_seconds", "When the phase began.", OBJECT, registry=self.registry
        )
        self.ended = Counter(
            "slipway_rollout_ended",
            "Rollouts ended, by result and reason.",
            (*OBJECT, "result", "reason"),
            registry=self.registry,
        )
        self.deployments = Counter(
            "slipway_deployments", "Rollouts ended, by what came of them.", (*OBJECT, "result"), registry=self.registry
        )
        self.lead = Histogram(
            "slipway_deployment_lead_seconds",
            "From the commit to the promotion.",
            OBJECT,
            buckets=LEAD,
            registry=self.registry,
        )
        self.restore = Histogram(
            "slipway_deployment_restore_seconds",
            "From the first request that a failed version could get until every router had taken the last one from it.",
            OBJECT,
            buckets=RESTORE,
            registry=self.registry,
        )
        self.registry.register(self)

    def collect(self) -> list[CounterMetricFamily]:
        """Return the counts per colour, as they stand."""
        responses = CounterMetricFamily(
            "slipway_rollout_responses", "Responses by colour and class.", labels=[*OBJECT, "colour", "code"]
        )
        seconds = CounterMetricFamily(
            "slipway_rollout_response_seconds", "Response time, summed.", labels=[*OBJECT, "colour"]
        )
        for (namespace, name), tally in list(self.tallies.items()):
            for colour in Colour:
                for code in CLASSES:
                    responses.add_metric([namespace, name, colour, code], tally.responses.get((colour, code), 0))
                seconds.add_metric([namespace, name, colour], tally.seconds.get(colour, 0.0))
        return [responses, seconds]

    def tell(self, rollout: Rollout) -> None:
        """Show where a rollout stands."""
        status = rollout.status
        labels = (rollout.namespace, rollout.name)
        for phase in Phase:
            self.phase.labels(*labels, phase.value).set(phase is status.phase)
        self.changed.labels(*labels).set(status.since)
        # From the start at 0: Prometheus sees no increase in a series that begins with its first event.
        for result in Result:
            self.deployments.labels(*labels, result.value)
        self.lead.labels(*labels)
        self.restore.labels(*labels)
        intent, observed, candidate = status.intent, status.observed, status.candidate
        self.weight.labels(*labels, "intended").set(0 if intent is None else intent.candidate_weight)
        shown = 0.0
        if observed is not None and candidate is not None:
            shown = observed.blue if candidate.colour is Colour.BLUE else observed.green
        self.weight.labels(*labels, "observed").set(shown)

    def deployed(self, namespace: str, name: str, deployment: Deployment) -> None:
        """Count the end of a deployment."""
        self.deployments.labels(namespace, name, deployment.result.value).inc()
        if deployment.lead is not None:
            self.lead.labels(namespace, name).observe(deployment.lead)
        if deployment.restore is not None:
            self.restore.labels(namespace, name).observe(deployment.restore)

    def forget(self, namespace: str, name: str) -> None:
        """Drop what belongs to an object that is gone."""
        self.tallies.pop((namespace, name), None)
        for phase in Phase:
            self.phase.remove(namespace, name, phase.value)


class _Handler(BaseHTTPRequestHandler):
    """`/metrics`, `/livez`, and nothing else."""

    server: "Endpoint"  # pyright: ignore[reportIncompatibleVariableOverride] - the only server it is used with

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif self.path == "/livez":
            self._answer(200 if self.server.alive() else 503, "text/plain", b"")
        else:
            self._answer(404, "text/plain", b"there are /metrics and /livez\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
        """Say nothing: scrapes and probes are no news."""
        del format, args


class Endpoint(ThreadingHTTPServer):
    """The controller's own port.

    Args:
        port: to listen on; 0 takes a free one.
        registry: what `/metrics` shows.
        alive: what `/livez` says.
    """

    daemon_threads = True

    def __init__(self, port: int, registry: CollectorRegistry, alive: Callable[[], bool]) -> None:
        super().__init__(("", port), _Handler)
        self.registry = registry
        self.alive = alive
        self._thread = threading.Thread(target=self.serve_forever, name="endpoint", daemon=True)

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()
        self._thread.join(timeout=5)


def log_as_json(level: str = "INFO") -> None:
    """Send every log line to standard error, as one JSON object with ECS names."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "@timestamp", "levelname": "log.level", "name": "log.logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            static_fields={"ecs.version": "8.17.0", "service.name": "rollout-controller"},
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
