"""What a load run is asked to do, and how that is said to k6: values and pure functions."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from loadtests.workloads import WORKLOADS, Workload

SCENARIOS: Final = ("smoke", "crud", "read-mostly", "search", "login", "async", "page")
#: The scenario whose iterations are no single requests: each follows one export to its file.
FOLLOWING: Final = "async"
#: Scenarios that send the mix of the project's definition, on which a proof may stand.
MIXED: Final = ("smoke", "crud")
SCRIPT: Final = Path(__file__).parent / "main.js"
ANSWER_LIMIT: Final = 10.0  # seconds; the project's definition of a failed request
NETNS_FOLDER: Final = Path("/var/run/netns")

# Seconds that an even load goes on for, sending nothing more: what a pause of the machine at its very end kept from
# being begun is begun then. Without it k6 leaves out the requests whose time falls into that pause.
_TAIL: Final = 1.0
_MANY: Final = 500
_SPARE: Final = 10  # connections on top of those that the rate needs
_SHORTEST: Final = 2.0
_SETUP_BUDGET: Final = 120.0  # seconds; `setupTimeout` in main.js
_GRACE: Final = 2.0  # seconds on top of the answer limit; `gracefulStop` in lib/workload.js
_BROKEN: Final = 100  # one in so many planned requests failed or dropped: it is broken
_ROUNDING: Final = 1e-6  # shares such as 3/5 are not exact
_SLACK: Final = 60.0  # seconds that k6 may take to start, to compile and to sum up
_SECRET_NAMES: Final = ("SLIPWAY_TOKEN",)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class PlanError(ValueError):
    """A plan that cannot be run; the message names the field, its value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """One load run.

    Attributes:
        scenario: what is sent, one of `SCENARIOS`.
        base_url: scheme, host and port; no path.
        rate: requests per second; of scenario `async` exports.
        duration: seconds.
        workdir: a folder is made in it for each run.
        host: name for TLS and the Host header, put in place of the host in `base_url`.
        ca: PEM file of the only authorities that are trusted; None trusts the machine's.
        address: IP, or IP:port, to connect to instead of resolving the name.
        min_requests: fewer make the run fail, whatever else holds; of scenario `async` so many files must be fetched.
        netns: name of the network namespace that k6 runs in.
        workload: how the rate is spread over time, one of `WORKLOADS`.
        stall: seconds for which the whole service may stand still before requests are dropped; sets the number of
            connections, `rate * stall`, at about 1 MB each. None: as long as an answer may take, so that only what has
            failed anyway is dropped, but not for more than `_MANY` connections, and at least `_SHORTEST` seconds.
        protocol: `http/1.1` is the harder test, as idle connections can break there without notice.
        answer_limit: seconds; a later answer is a failed one. Only tests of the generator itself change it.
        allow_503: count a write's 503 with Retry-After apart instead of as failed.
        unkeyed_apart: let failed writes without an idempotency key not fail the run; they are counted apart always.
        stop_on_failure: end the run at the first failed request.
        reconnect: make a connection for each request: what is shown to new ones only (a certificate) is then seen.
        seeds: users made before the run, for reads.
        path: what scenario `page` reads; it must answer 200.
        remote_write: address to which k6 sends its figures as it goes, by Prometheus' remote write; None sends none.
        secrets: environment of k6, never on its command line and in no file; allowed are `_SECRET_NAMES`.
    """

    scenario: str
    base_url: str
    rate: int
    duration: float
    workdir: Path
    host: str | None = None
    ca: Path | None = None
    address: str | None = None
    min_requests: int = 1
    netns: str | None = None
    workload: str = "constant"
    stall: float | None = None
    protocol: Literal["http/1.1", "h2"] = "http/1.1"
    answer_limit: float = ANSWER_LIMIT
    allow_503: bool = False
    unkeyed_apart: bool = False
    stop_on_failure: bool = False
    reconnect: bool = False
    seeds: int = 40
    path: str = "/"
    remote_write: str | None = None
    secrets: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        _one_of("scenario", self.scenario, SCENARIOS)
        _one_of("workload", self.workload, tuple(WORKLOADS))
        for name, least in (("rate", 1), ("duration", 1), ("min_requests", 1), ("seeds", 1)):
            if getattr(self, name) < least:
                raise PlanError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name, seconds in (("stall", self.stall), ("answer_limit", self.answer_limit)):
            if seconds is not None and seconds <= 0:
                raise PlanError(f"{name} is {seconds} s; it must be more than 0")
        if self.min_requests > self.planned:
            raise PlanError(
                f"min_requests is {self.min_requests}, but {self.rate}/s for {self.duration} s makes {self.planned}; "
                "take a longer duration, or LoadPlan.for_requests"
            )
        self._check_target()
        if self.netns is not None and ("/" in self.netns or not self.netns):
            raise PlanError(f"netns is {self.netns!r}; it must be a name in {NETNS_FOLDER}, not a path")
        if unknown := sorted(set(self.secrets) - set(_SECRET_NAMES)):
            raise PlanError(f"secrets holds {', '.join(unknown)}; allowed: {', '.join(_SECRET_NAMES)}")

    def _check_target(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or url.query or url.username:
            raise PlanError(f"base_url is {self.base_url!r}; it must be http(s)://host[:port] and nothing more")
        if not self.path.startswith("/"):
            raise PlanError(f"path is {self.path!r}; it must begin with /")
        if self.remote_write is not None:
            other = urlsplit(self.remote_write)
            if other.scheme not in {"http", "https"} or not other.hostname or other.username:
                raise PlanError(
                    f"remote_write is {_without_user(self.remote_write)!r}; it must be http(s)://host[:port]/path, as "
                    "http://localhost:9090/api/v1/write, without a user: everyone on the machine could read that"
                )
        if self.ca is not None and url.scheme != "https":
            raise PlanError(f"ca is {self.ca}, but base_url is {self.base_url!r}; a CA needs https")

    @classmethod
    def for_requests(cls, requests: int, *, rate: int, **rest: Any) -> Self:
        """A plan that lasts until at least so many requests were made, and fails below that number."""
        if rate < 1:
            raise PlanError(f"rate is {rate}; it must be at least 1")
        return cls(rate=rate, duration=float(max(1, math.ceil(requests / rate))), min_requests=requests, **rest)

    def guarded(self) -> Self:
        """This plan, which fails if requests are missing: nothing that fails would be seen in those.

        Where the rate changes k6 rounds, so there a tenth may be missing.
        """
        return replace(self, min_requests=max(1, self.planned if self.shape.flat else self.planned * 9 // 10))

    def over(self, connections: int) -> Self:
        """This plan over at most so many connections: with a rate above what they bear, each sends as fast as it can.

        Raises:
            PlanError: fewer than are always there.
        """
        if connections <= _SPARE:
            raise PlanError(f"connections is {connections}; it must be more than {_SPARE}")
        # Half a connection less, so that rounding cannot make it one more.
        return replace(self, stall=(connections - _SPARE - 0.5) / self.rate)

    @property
    def planned(self) -> int:
        """Requests that the plan makes if none is dropped; of scenario `async` exports."""
        return int(self.rate * self.duration * self.shape.mean + _ROUNDING)

    @property
    def most(self) -> int:
        """Iterations after which nothing more is sent; 0: only time ends it, as k6 rounds where the rate changes."""
        return self.planned if self.shape.flat else 0

    @property
    def tail(self) -> float:
        """Seconds on top of the duration in which late iterations may still begin."""
        return _TAIL if self.shape.flat else 0.0

    @property
    def shape(self) -> Workload:
        """How the rate goes over time."""
        return WORKLOADS[self.workload]

    @property
    def breaks_at(self) -> int:
        """Failed or dropped requests that end the run; 0: none do."""
        return max(1, self.planned // _BROKEN) if self.shape.until_broken else 0

    @property
    def vus(self) -> int:
        """Virtual users, each with a connection of its own; one that waits for its export has no time for another."""
        waits = self.answer_limit if self.scenario == FOLLOWING else 0.0
        return math.ceil(self.rate * (self.bears + waits)) + _SPARE

    @property
    def bears(self) -> float:
        """Seconds for which the whole service may stand still before requests are dropped."""
        return max(_SHORTEST, min(self.answer_limit, _MANY / self.rate)) if self.stall is None else self.stall

    @property
    def deadline(self) -> float:
        """Seconds after which k6 is hung and is killed."""
        return _SETUP_BUDGET + self.duration + self.tail + self.answer_limit + _GRACE + _SLACK

    @property
    def graceful(self) -> float:
        """Seconds that k6 gets to sum up after it was asked to stop."""
        return self.answer_limit + _GRACE + 30.0


def target(plan: LoadPlan) -> tuple[str, dict[str, str]]:
    """The URL that k6 is given and its `hosts` map (name -> address to connect to)."""
    url = urlsplit(plan.base_url)
    original = url.hostname or ""
    name = plan.host or original
    bracketed = f"[{name}]" if ":" in name else name
    netloc = f"{bracketed}:{url.port}" if url.port else bracketed
    address = plan.address or (original if name != original else None)
    return urlunsplit((url.scheme, netloc, "", "", "")), ({} if address is None else {name: address})


def command(plan: LoadPlan, binary: Path, stream: Path) -> list[str]:
    """The whole command line; it holds no secret, as everyone on the machine can read it."""
    # nsenter, not `ip netns exec`: that one mounts a new /sys over the old.
    prefix = [] if plan.netns is None else ["nsenter", f"--net={NETNS_FOLDER / plan.netns}"]
    sent = [] if plan.remote_write is None else ["--out", "experimental-prometheus-rw"]
    # The empty address keeps k6's control server off: it would listen on a fixed port, and runs would collide.
    return [*prefix, str(binary), "run", "--address", "", "--quiet", "--no-color", "--log-format", "json",
            "--out", f"csv={stream}", *sent, str(SCRIPT)]  # fmt: skip


def environment(plan: LoadPlan, *, run_id: str, summary: Path, home: Path, path: str) -> dict[str, str]:
    """The whole environment of k6: nothing of the caller's leaks in, as scripts see all of it."""
    url, hosts = target(plan)
    result = {
        "PATH": path,
        "HOME": str(home),
        "K6_NO_USAGE_REPORT": "true",
        "K6_AUTO_EXTENSION_RESOLUTION": "false",
        "K6_CSV_TIME_FORMAT": "unix_milli",
        "K6_CSV_SAVE_INTERVAL": "250ms",
        "SLIPWAY_BASE_URL": url,
        "SLIPWAY_HOSTS": json.dumps(hosts),
        "SLIPWAY_SCENARIO": plan.scenario,
        "SLIPWAY_STAGES": json.dumps([asdict(stage) for stage in plan.shape.stages]),
        "SLIPWAY_BREAKS_AT": str(plan.breaks_at),
        "SLIPWAY_RATE": str(plan.rate),
        "SLIPWAY_SECONDS": f"{plan.duration:g}",
        "SLIPWAY_TAIL": f"{plan.tail:g}",
        "SLIPWAY_MOST": str(plan.most),
        "SLIPWAY_VUS": str(plan.vus),
        "SLIPWAY_MIN_REQUESTS": str(plan.min_requests),
        "SLIPWAY_ANSWER_LIMIT_MS": f"{plan.answer_limit * 1000:g}",
        "SLIPWAY_SEEDS": str(plan.seeds),
        "SLIPWAY_PATH": plan.path,
        "SLIPWAY_RUN_ID": run_id,
        "SLIPWAY_SUMMARY": str(summary),
        "SLIPWAY_ALLOW_503": str(int(plan.allow_503)),
        "SLIPWAY_UNKEYED_APART": str(int(plan.unkeyed_apart)),
        "SLIPWAY_STOP_ON_FAILURE": str(int(plan.stop_on_failure)),
        "SLIPWAY_RECONNECT": str(int(plan.reconnect)),
    }
    if plan.remote_write is not None:
        result |= {
            "SLIPWAY_TAG_RUN": "1",
            "K6_PROMETHEUS_RW_SERVER_URL": plan.remote_write,
            "K6_PROMETHEUS_RW_PUSH_INTERVAL": "1s",
            "K6_PROMETHEUS_RW_TREND_STATS": "p(50),p(95),p(99),max,count",
            # What a run sent last must not look like a run that goes on.
            "K6_PROMETHEUS_RW_STALE_MARKERS": "true",
        }
    if plan.protocol == "http/1.1":
        result["GODEBUG"] = "http2client=0"  # the switch that k6 itself looks for
    if plan.ca is not None:
        result["SSL_CERT_FILE"] = str(plan.ca.absolute())
        result["SSL_CERT_DIR"] = str(home)  # without it the machine's own authorities are trusted too
    return result | dict(plan.secrets)


def described(plan: LoadPlan) -> dict[str, str | int | float | bool | None]:
    """The plan as JSON for the run's folder, without secrets."""
    url, _ = target(plan)
    return {
        "scenario": plan.scenario, "workload": plan.workload, "url": url, "address": plan.address, "netns": plan.netns,
        "protocol": plan.protocol, "rate": plan.rate, "duration": plan.duration, "min_requests": plan.min_requests,
        "vus": plan.vus, "answer_limit": plan.answer_limit, "allow_503": plan.allow_503,
        "unkeyed_apart": plan.unkeyed_apart, "reconnect": plan.reconnect,
    }  # fmt: skip


def _without_user(url: str) -> str:
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else url.rpartition("@")[2]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise PlanError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
