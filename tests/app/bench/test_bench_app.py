"""The payload beside bare Flask and a naive full stack: same server, same core, same requests, in turn.

`make test` takes a second for each and judges no figure; `make bench-app` takes rounds, and writes the report.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench_servers import HOT_ROWS, READ_ROWS, THREADS, USERS, WORKERS, servers, tokens

from app.core.database import Database
from app.seed import same_id, seed
from loadtests.bench import machine, page, wrk
from loadtests.bench.figures import BARE, NAIVE, PAYLOAD, Comparison, Shooting, bars
from slipway.reports import write

#: Rounds in the long form, which `make bench-app` asks for; 0 is the short one.
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "0"))
SECONDS, LEAD_IN_SECONDS = 3, 2
CONNECTIONS = 32
HERE = Path(__file__).parent

JSON, READ, CACHED, WRITE = "JSON", "read of a post", "read of a user", "creation of a user"
TARGETS = {
    JSON: ["GET /version"],
    READ: [f"GET /v1/posts/{same_id('post', number)}" for number in range(READ_ROWS)],
    CACHED: [f"GET /v1/users/{same_id('user', number)}" for number in range(HOT_ROWS)],
    WRITE: ["POST /v1/users"],
}
COMPARISONS = (
    Comparison("JSON / bare", (PAYLOAD, JSON), (BARE, JSON), 0.75, 0.82),
    Comparison("read by id from the database / bare", (PAYLOAD, READ), (BARE, READ), 0.95, 1.05),
    Comparison("cached read / bare read from the database", (PAYLOAD, CACHED), (BARE, CACHED), 1.8, 2.5),
    Comparison("creation with audit, message and key / bare insert", (PAYLOAD, WRITE), (BARE, WRITE), 0.6, 0.7),
    Comparison("JSON / naive full stack", (PAYLOAD, JSON), (NAIVE, JSON), 1.6, 1.8),
    Comparison("read by id / naive full stack", (PAYLOAD, READ), (NAIVE, READ), 1.6, 1.8),
)
SET_UP = {
    "server": f"gunicorn gthread, {WORKERS} workers of {THREADS} threads, on one core; Postgres, Redis, wrk on another",
    "load": f"wrk, {CONNECTIONS} connections that stay open, tokens of {USERS} users in turn",
    "payload, at every request": (
        "settings of production: address from X-Forwarded-For, request id, trace id, consistency token, access line in "
        "ECS, metrics by route for several workers, faults (none set), Accept, security headers, version and colour, "
        "turns, watchdog of connections, Sentry on"
    ),
    "payload, at /v1": (
        "token verified (believed for 10 s), permission, 600 requests a minute for each user counted in Redis; reads "
        f"from the replica's address, {HOT_ROWS} users cached in Redis and in the process; a creation writes row, "
        "audit entry, message and idempotency key in one transaction"
    ),
    "payload, off as in production": "spans (OpenTelemetry), CORS, external issuer, GraphQL",
    "Postgres": "without fsync: commits cost CPU only, which weighs what a creation writes besides its row most",
}


@pytest.fixture
def found(settings, redis_server, key_file):
    """All servers on one core, with rows to read."""
    database = Database(settings)
    seed(database, READ_ROWS, datetime.now(UTC))
    database.close()
    core, _ = machine.two_cores()
    with ExitStack() as stack:
        with machine.on_core(core):
            started = stack.enter_context(servers(settings, redis_server.url, key_file))
        yield started


def shoot(service, kind, callers, seconds) -> Shooting:
    _, other = machine.two_cores()
    before = machine.cpu_seconds(service.process.pid)
    shot = wrk.shoot(service.api, TARGETS[kind], callers, seconds=seconds, connections=CONNECTIONS, core=other)
    used = machine.cpu_seconds(service.process.pid) - before
    os.truncate(service.log, 0)  # hundreds of megabytes otherwise
    return Shooting(shot, used)


def measure(found, callers, rounds, seconds):
    taken = {who: [] for it in COMPARISONS for who in (it.over, it.under)}
    for _ in range(rounds):
        for (server, kind), shots in taken.items():
            # Not counted: connections, statements, and what is cached, which has ended since the round before.
            shoot(found[server], kind, callers, LEAD_IN_SECONDS)
            shots.append(shoot(found[server], kind, callers, seconds))
    return taken


def budget(settings, redis_server, key_file) -> dict[str, float]:
    """Microseconds that each layer adds."""
    asked = {
        "database": str(settings.database_url_file),
        "redis": redis_server.url,
        "key": str(key_file),
        "times": 40 if ROUNDS else 1,
    }
    core, _ = machine.two_cores()
    with machine.on_core(core):
        done = subprocess.run(
            [sys.executable, str(HERE / "budget.py"), json.dumps(asked)], capture_output=True, text=True, check=True
        )
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.timeout(0 if ROUNDS else 300)
def test_the_payload_beside_its_baselines(found, settings, redis_server, key_file):
    started, began = datetime.now(UTC), time.monotonic()
    callers = tokens(key_file)
    taken = measure(found, callers, ROUNDS or 1, SECONDS if ROUNDS else 1)
    layers = budget(settings, redis_server, key_file)
    assert all(one.shot.requests > 0 and one.cpu_ms > 0 for shots in taken.values() for one in shots)
    assert bars(taken, COMPARISONS)[-1].holds, "an answer was not 2xx"
    assert layers
    report = page.report(
        taken, COMPARISONS, set_up=SET_UP, budget=layers, started=started, seconds=time.monotonic() - began
    )
    assert len(report.bars) == len(COMPARISONS) + 1
    if ROUNDS:
        path = write(report, sections=page.sections(taken, COMPARISONS, layers))
        sys.stderr.write(f"\n{path}: {report.verdict}\n")
        assert report.verdict == "pass", [bar for bar in report.bars if not bar.holds]
