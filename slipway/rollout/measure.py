"""Asking for numbers: Prometheus, or the controller's own counts of what the routers say. `analysis.py` judges them."""

import math
import ssl
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from slipway.rollout.analysis import Measurement
from slipway.rollout.haproxy import Tally
from slipway.rollout.observation import JobView
from slipway.rollout.spec import Metric, Source
from slipway.rollout.status import Colour, MetricState, Verdict

SHORTEST_WINDOW: Final = 15
"""Seconds; less would hold too few scrapes for a rate."""
LONGEST_WINDOW: Final = 600
"""Seconds; older requests say little of now."""
LABELS: Final = 'namespace="{{namespace}}",service="{{service}}",colour="{{colour}}"'
REQUESTS: Final = f'slipway_ingress_requests_total{{{LABELS},outcome=~"ok|failed"}}'
FAILED: Final = f'slipway_ingress_requests_total{{{LABELS},outcome="failed"}}'
SECONDS: Final = "slipway_ingress_request_seconds"


def _grown(series: str) -> str:
    return f"sum(increase({series}[{{{{window}}}}]))"


def _quantile(share: float) -> tuple[str, str]:
    buckets = f"sum by (le) (increase({SECONDS}_bucket{{{LABELS}}}[{{{{window}}}}]))"
    return f"histogram_quantile({share}, {buckets})", _grown(REQUESTS)


QUERIES: Final = {
    Source.ERROR_RATIO: (f"{_grown(FAILED)} / {_grown(REQUESTS)}", _grown(REQUESTS)),
    Source.MEAN_LATENCY: (
        f"{_grown(f'{SECONDS}_sum{{{LABELS}}}')} / {_grown(f'{SECONDS}_count{{{LABELS}}}')}",
        _grown(REQUESTS),
    ),
    Source.LATENCY_P50: _quantile(0.5),
    Source.LATENCY_P95: _quantile(0.95),
    Source.LATENCY_P99: _quantile(0.99),
}
"""Value and samples of each ready-made metric, in seconds where it is a time; `{{name}}` is replaced."""
OWN: Final = frozenset({Source.ERROR_RATIO, Source.MEAN_LATENCY})
"""What can be told from counts of statistics pages alone."""


def fill(query: str, values: Mapping[str, str]) -> str:
    """Return a query with every `{{name}}` replaced.

    Raises:
        ValueError: the query asks for a name that is not known.
    """
    for name, value in values.items():
        query = query.replace("{{" + name + "}}", value)
    if "{{" in query:
        unknown = query.partition("{{")[2].partition("}}")[0]
        raise ValueError(f"the query asks for {unknown!r}; known are {', '.join(sorted(values))}")
    return query


def single_number(answer: Mapping[str, Any]) -> float | None:
    """Return the one number of a Prometheus answer; None for an empty one or one that is not a number.

    Raises:
        ValueError: the answer is an error, or has more than one series.
    """
    if answer.get("status") != "success":
        raise ValueError(f"the metrics source says: {answer.get('error', answer)}")
    data = answer["data"]
    if data["resultType"] == "scalar":
        number = float(data["result"][1])
    elif data["resultType"] != "vector":
        raise ValueError(f"the query gives a {data['resultType']}, one number is needed")
    elif not data["result"]:
        return None
    elif len(data["result"]) > 1:
        raise ValueError(f"the query gives {len(data['result'])} series, one number is needed: sum them")
    else:
        number = float(data["result"][0]["value"][1])
    return number if math.isfinite(number) else None


class _Bearer(httpx.Auth):
    """A token out of a file, which may be replaced while this process runs."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {self._file.read_text(encoding='utf-8').strip()}"
        yield request


class Prometheus:
    """A Prometheus server, or what answers as one. Errors become measurements; nothing is ever taken for zero.

    Args:
        address: where it is, up to `/api/v1`.
        timeout: seconds for one question.
        token: file with what it wants to see of whoever asks.
        ca: file with the authority of its certificate; the system's if left out.
    """

    def __init__(
        self, address: str, *, timeout: float = 3.0, token: Path | None = None, ca: Path | None = None
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=address,
            timeout=timeout,
            trust_env=False,
            auth=None if token is None else _Bearer(token),
            verify=True if ca is None else ssl.create_default_context(cafile=str(ca)),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def answers(self) -> bool:
        """Return whether the server answers a question; that it is ready would not say whether we may ask."""
        try:
            return (await self._http.get("/api/v1/query", params={"query": "vector(1)"})).is_success
        except (httpx.HTTPError, OSError):
            return False

    async def ask(self, query: str) -> float | None:
        """Return one number, or None when there is none.

        Raises:
            ValueError: there is no proper answer.
        """
        try:
            answer = await self._http.get("/api/v1/query", params={"query": query})
            return single_number(answer.json())
        except (httpx.HTTPError, OSError) as error:
            raise ValueError(f"the metrics source does not answer: {error or type(error).__name__}") from error

    async def measure(self, metric: Metric, values: Mapping[str, str]) -> Measurement:
        """Return what Prometheus says of a metric, for the candidate and for the stable colour."""
        if metric.prometheus is not None:
            query, samples = metric.prometheus.query, metric.prometheus.samples
        elif metric.source is not None:
            query, samples = QUERIES[metric.source]
        else:
            return Measurement(error=f"metric {metric.name} names no query")
        stable = dict(values) | {"colour": values["stable"], "revision": values["stable_revision"]}
        try:
            return Measurement(
                value=await self.ask(fill(query, values)),
                stable_value=await self.ask(fill(query, stable)) if metric.maximum_delta is not None else None,
                samples=await self.ask(fill(samples, values)) if samples is not None else None,
            )
        except ValueError as error:
            return Measurement(error=str(error))


@dataclass
class Recent:
    """The controller's own counts over the last minutes: the ready-made metrics without Prometheus.

    After a change of the leader the counts begin anew: too few samples, which is inconclusive, never a pass.
    """

    clock: Callable[[], float] = time.monotonic
    keep: float = 900.0
    _history: deque[tuple[float, dict[tuple[Colour, str], int], dict[Colour, float]]] = field(
        default_factory=deque[tuple[float, dict[tuple[Colour, str], int], dict[Colour, float]]]
    )

    def note(self, tally: Tally) -> None:
        """Remember the counts of now."""
        now = self.clock()
        self._history.append((now, dict(tally.responses), dict(tally.seconds)))
        while self._history and now - self._history[0][0] > self.keep:
            self._history.popleft()

    def measure(self, metric: Metric, colour: Colour, window: float) -> Measurement:
        """Return a ready-made metric over the last `window` seconds."""
        if metric.source not in OWN:
            return Measurement(error=f"metric {metric.name} needs Prometheus, and the controller was given none")
        value, samples = self._figure(metric.source, colour, window)
        stable, _ = self._figure(metric.source, colour.other, window)
        return Measurement(value=value, stable_value=stable, samples=samples)

    def _figure(self, source: Source | None, colour: Colour, window: float) -> tuple[float | None, float]:
        if not self._history:
            return None, 0.0
        now, counts, seconds = self._history[-1]
        start = next((entry for entry in self._history if now - entry[0] <= window), self._history[0])
        kinds = {kind for owner, kind in counts if owner is colour and kind != "error"}
        total = float(sum(counts[colour, kind] - start[1].get((colour, kind), 0) for kind in kinds))
        if total <= 0:
            return None, 0.0
        if source is Source.MEAN_LATENCY:
            return (seconds.get(colour, 0.0) - start[2].get(colour, 0.0)) / total, total
        bad = counts.get((colour, "5xx"), 0) - start[1].get((colour, "5xx"), 0)
        return bad / total, total


def of_job(view: JobView | None) -> Measurement | None:
    """Return what a check's Job says; None while it runs. 0 passes, 99 fails, anything else is an error."""
    if view is None or view.exit_code is None:
        return None
    if view.exit_code == 0:
        return Measurement(conclusion=Verdict.PASS)
    if view.exit_code == 99:  # noqa: PLR2004 - k6's own exit code for crossed thresholds
        return Measurement(conclusion=Verdict.FAIL)
    return Measurement(error=f"the check ended with {view.exit_code}: {view.message}")


def window_of(metric: Metric, state: MetricState, age: float) -> int:
    """Return over how many seconds a metric looks back: one interval, or the whole step where that was too little.

    A small share of few requests comes to `min_samples` only in time; a window that never grew would never hold them.

    Args:
        metric: What is measured.
        state: Its counts in this step.
        age: Seconds since the version has the weight that it has.
    """
    least = max(SHORTEST_WINDOW, metric.interval)
    return least if state.inconclusive == 0 else max(least, min(int(age), LONGEST_WINDOW))
