"""Reading HAProxy's own word on weights: what each process says of its servers. Pure; `routers.py` fetches it.

Two forms are read: the observer's JSON (the platform puts an observer beside each HAProxy) and the statistics page as
CSV (any haproxy-ingress has it). Both name each server's address, which is the only thing that tells the colour: a
server's name is a slot that changes its pod.
"""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slipway.rollout.observation import RouterView
from slipway.rollout.status import Colour

LISTENS_TO_NOBODY: Final = ("MAINT", "DOWN")
"""States in which a server takes no request, whatever its weight."""
RESPONSES: Final = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
PID: Final = re.compile(r"pid\s*=\s*(?:</b>)?\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """One server of one backend, as one process sees it.

    Attributes:
        backend: name of the backend.
        slot: name of the server; it stays when the slot gets another pod.
        address: IP address of the pod.
        weight: what it gets now; 0 when it takes no requests.
        usable: whether it takes requests at all.
        open_requests: requests in flight and queued.
        responses: responses so far, by class (`2xx`).
        errors: requests that got no response from it: refused, cut off, or reset.
        seconds: mean response time of the last 1,024 requests.
    """

    backend: str
    slot: str
    address: str
    weight: int
    usable: bool
    open_requests: int
    responses: Mapping[str, int]
    errors: int
    seconds: float


class StatisticsError(ValueError):
    """What came back is no statistics page."""


def parse(text: str) -> tuple[Server, ...]:
    """Return the servers of a statistics page in CSV.

    Raises:
        StatisticsError: it is not such a page, or it names no addresses.
    """
    if not text.startswith("# pxname,svname,"):
        raise StatisticsError(f"no statistics page: it begins with {text[:40]!r}, expected '# pxname,svname,'")
    rows = csv.DictReader(io.StringIO(text[2:]))
    if "addr" not in (rows.fieldnames or ()):
        raise StatisticsError("the statistics page has no column 'addr': set `stats show-legends`")
    return tuple(_server(row) for row in rows if row["svname"] not in {"BACKEND", "FRONTEND"})


def _number(row: Mapping[str, str], name: str) -> int:
    return int(row.get(name) or 0)


def _server(row: Mapping[str, str]) -> Server:
    address = row["addr"].rpartition(":")[0].strip("[]")
    usable = not row["status"].startswith(LISTENS_TO_NOBODY)
    return Server(
        backend=row["pxname"],
        slot=row["svname"],
        address=address,
        weight=_number(row, "weight") if usable else 0,
        usable=usable,
        open_requests=_number(row, "scur") + _number(row, "qcur"),
        responses={name.removeprefix("hrsp_"): _number(row, name) for name in RESPONSES},
        errors=_number(row, "econ") + _number(row, "eresp"),
        seconds=_number(row, "rtime") / 1000,
    )


def parse_pid(page: str) -> str:
    """Return the process number that the statistics page shows to people.

    Raises:
        StatisticsError: the page shows none.
    """
    found = PID.search(page)
    if found is None:
        raise StatisticsError("the statistics page shows no process number; is `stats hide-version` set?")
    return found.group(1)


def parse_observed(text: str) -> tuple[str, tuple[Server, ...]]:
    """Return the process number and the servers of an observer's `/servers`. It counts no responses: Prometheus does.

    Raises:
        StatisticsError: it is not such an answer.
    """
    try:
        found = json.loads(text)
        servers = tuple(_observed(entry) for entry in found["servers"])
        return str(found["process"]["pid"]), servers
    except (KeyError, TypeError, ValueError) as error:
        raise StatisticsError(f"no answer of an observer: {text[:60]!r} ({error!r})") from error


def _observed(entry: Mapping[str, Any]) -> Server:
    return Server(
        backend=entry["backend"],
        slot=entry["slot"],
        address=entry["address"].rpartition(":")[0].strip("[]"),
        weight=int(entry["weight"]),
        usable=not entry["state"].startswith(LISTENS_TO_NOBODY),
        open_requests=int(entry["sessions"]) + int(entry["queued"]),
        responses={},
        errors=0,
        seconds=0.0,
    )


def backend_prefix(namespace: str, service: str) -> str:
    """Return how the ingress controller's backends of a Service begin; the port follows."""
    return f"{namespace}_{service}_"


def view(
    servers: tuple[Server, ...], *, process: str, live: str, preview: str, colours: Mapping[str, Colour]
) -> RouterView | None:
    """Return what one process says of a service, or None when it does not know the service yet.

    Args:
        servers: everything on its statistics page.
        process: identity of the process.
        live: prefix of the live backends.
        preview: prefix of the preview backends.
        colours: address of each pod -> colour.
    """
    weights = dict.fromkeys(Colour, 0)
    counts = dict.fromkeys(Colour, 0)
    waiting = dict.fromkeys(Colour, 0)
    shown = dict.fromkeys(Colour, 0)
    known = previewed = False
    for server in servers:
        colour = colours.get(server.address)
        if server.backend.startswith(live):
            known = True
            if colour is not None and server.usable:
                weights[colour] += server.weight
                counts[colour] += 1
                waiting[colour] += server.open_requests
        elif server.backend.startswith(preview):
            previewed = True
            if colour is not None:
                shown[colour] += server.weight
    if not known:
        return None
    return RouterView(
        process=process,
        blue=weights[Colour.BLUE],
        green=weights[Colour.GREEN],
        blue_servers=counts[Colour.BLUE],
        green_servers=counts[Colour.GREEN],
        open_requests=waiting,
        preview=(shown[Colour.BLUE], shown[Colour.GREEN]) if previewed else None,
    )


def free_slots(servers: tuple[Server, ...], live: str) -> int:
    """Return how many server slots of the live backend wait for a pod."""
    return sum(server.backend.startswith(live) and not server.usable for server in servers)


@dataclass
class Tally:
    """Counts per colour since this process began, from what the routers count per server.

    A slot's counters go on when it gets another pod, so only the growth between two looks at the same address counts.
    """

    responses: dict[tuple[Colour, str], int] = field(default_factory=dict[tuple[Colour, str], int])
    seconds: dict[Colour, float] = field(default_factory=dict[Colour, float])
    _last: dict[tuple[str, str, str], tuple[str, Server]] = field(
        default_factory=dict[tuple[str, str, str], tuple[str, Server]]
    )

    def add(
        self, router: str, process: str, servers: tuple[Server, ...], live: str, colours: Mapping[str, Colour]
    ) -> None:
        """Add what one router has counted since the last look at it."""
        for server in servers:
            colour = colours.get(server.address)
            if colour is None or not server.backend.startswith(live):
                continue
            key = (router, server.backend, server.slot)
            before = self._last.get(key)
            self._last[key] = (process, server)
            if before is None or before[0] != process or before[1].address != server.address:
                continue
            self._grow(colour, before[1], server)

    def _grow(self, colour: Colour, before: Server, after: Server) -> None:
        total = 0
        for kind, count in after.responses.items():
            growth = max(0, count - before.responses.get(kind, 0))
            self.responses[colour, kind] = self.responses.get((colour, kind), 0) + growth
            total += growth
        errors = max(0, after.errors - before.errors)
        self.responses[colour, "error"] = self.responses.get((colour, "error"), 0) + errors
        self.seconds[colour] = self.seconds.get(colour, 0.0) + total * after.seconds
