"""What a platform uses when nobody asks anything of it, and whether it is quiet then: one look back, as a report."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from pydantic import JsonValue

from dashboards.live import Prometheus
from slipway.reports import Bar, Report, derive

#: The bars of the whole platform, profile `small` (cores, GiB).
CORES: Final = 1.0
MEMORY: Final = 8.0
#: Fires by itself, and says so.
WATCHDOG: Final = "Watchdog"
_GIB: Final = 2**30
#: Seconds between two points at which the Watchdog must have fired.
_POINT: Final = 30
_DONE: Final = frozenset({"Succeeded", "Failed"})

_CPU: Final = 'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{container!=""}}[{window}]))'
_BYTES: Final = 'sum by (namespace, pod) (max_over_time(container_memory_working_set_bytes{{container!=""}}[{window}]))'
_ALERTS: Final = 'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{window}]))'
_WATCHED: Final = (
    f'count_over_time((max(ALERTS{{{{alertname="{WATCHDOG}",alertstate="firing"}}}}))[{{window}}:{_POINT}s])'
)
_REQUESTS: Final = "sum(increase(slipway_ingress_requests_total[{window}]))"


@final
@dataclass(frozen=True)
class Programs:
    """What the cluster's own programs used: cores on average, and bytes at the end."""

    cores: float
    memory: float


@final
@dataclass(frozen=True)
class Seen:
    """A time without users.

    Attributes:
        minutes: How long it was.
        cores: Namespace -> cores on average.
        memory: Namespace -> bytes, each pod at its highest.
        unmeasured: Pods that are there and have no figures.
        alerts: What fired at any time, the Watchdog aside.
        watched: Share of the time for which the Watchdog fired.
        requests: Users' requests at the ingress; None if nobody counts them.
    """

    minutes: int
    cores: Mapping[str, float]
    memory: Mapping[str, float]
    unmeasured: tuple[str, ...]
    alerts: tuple[str, ...]
    watched: float
    requests: float | None


def look(prometheus: Prometheus, pods: Iterable[Mapping[str, Any]], end: float, minutes: int) -> Seen:
    """Ask about the minutes before a moment in Unix time.

    Args:
        prometheus: Of the cluster.
        pods: All that there are at that moment, as the API server lists them.
        end: The moment.
        minutes: How far back.

    Raises:
        PrometheusError: It does not answer.
    """

    def ask(expression: str) -> list[tuple[Mapping[str, str], float]]:
        found = prometheus.series(expression.format(window=f"{minutes}m"), end, end)
        return [(it.labels, it.values[-1][1]) for it in found if it.values]

    cores, memory = ask(_CPU), ask(_BYTES)
    known = {(labels["namespace"], labels["pod"]) for labels, _ in cores}
    living = {
        (it["metadata"]["namespace"], it["metadata"]["name"])
        for it in pods
        if it.get("status", {}).get("phase") not in _DONE
    }
    fired = {labels["alertname"] for labels, _ in ask(_ALERTS)}
    points = 60 * minutes / _POINT
    requests = ask(_REQUESTS)
    return Seen(
        minutes,
        _by_namespace(cores),
        _by_namespace(memory),
        tuple("/".join(it) for it in sorted(living - known)),
        tuple(sorted(fired - {WATCHDOG})),
        min(1.0, sum(value for _, value in ask(_WATCHED)) / points),
        requests[0][1] if requests else None,
    )


def report(seen: Seen, programs: Programs | None, started: datetime, seconds: float) -> Report:
    """The report `idle`.

    Args:
        seen: What Prometheus says of pods and alerts.
        programs: The cluster's own; None where they are not on this machine.
        started: When the time began.
        seconds: How long the measurement took.
    """
    own = programs or Programs(0.0, 0.0)
    what = "pods and the cluster's own programs" if programs else "pods; the cluster's own programs are elsewhere"
    cores = round(sum(seen.cores.values()) + own.cores, 3)
    memory = round((sum(seen.memory.values()) + own.memory) / _GIB, 2)
    bars = (
        Bar.at_most(f"CPU of {what}, on average", cores, CORES, "cores"),
        Bar.at_most(f"memory of {what}, each pod at its highest", memory, MEMORY, "GiB"),
        Bar(
            what=f"alerts besides {WATCHDOG}",
            measured=", ".join(seen.alerts) or "none",
            bar=f"none in {seen.minutes} minutes",
            holds=not seen.alerts,
        ),
        # What nobody watched, or what was not idle, was not measured: no answer.
        _given(f"share of the time for which {WATCHDOG} fired", round(seen.watched, 3), "1", seen.watched == 1),
        _given("pods without figures", ", ".join(seen.unmeasured) or 0, "0", not seen.unmeasured),
        _given(
            "users' requests meanwhile",
            "not counted" if seen.requests is None else round(seen.requests),
            "0",
            seen.requests == 0,
        ),
    )
    parts: dict[str, JsonValue] = {
        name: {"cores": round(cpu, 4), "memory GiB": round(seen.memory.get(name, 0.0) / _GIB, 3)}
        for name, cpu in sorted(seen.cores.items())
    }
    if programs:
        parts["the cluster's own programs"] = {
            "cores": round(own.cores, 4),
            "memory GiB": round(own.memory / _GIB, 3),
        }
    figures: dict[str, JsonValue] = {"minutes": seen.minutes, "cores": cores, "memory GiB": memory, "parts": parts}
    return Report(name="idle", started=started, seconds=seconds, figures=figures, bars=bars, verdict=derive(bars))


def _given(what: str, measured: float | str, bar: str, holds: bool) -> Bar:
    return Bar(what=what, measured=measured, bar=bar, holds=True if holds else None)


def _by_namespace(found: Iterable[tuple[Mapping[str, str], float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for labels, value in found:
        sums[labels["namespace"]] += value
    return dict(sums)
