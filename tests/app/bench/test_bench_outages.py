"""Redis, replica and worker stopped and killed under an even load: no request fails. The primary is the control.

`make test` takes a moment for each and judges no time; `make bench-outages` takes long enough for figures, and writes
the report.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import httpx
import pytest
from app_process import ROOT, process_environment, running_service
from app_servers import RedisServer, postgres_server, replica_of
from app_settings import make_settings, migrate
from bench_servers import production, tokens
from ports import free_port

from app.core.database import Database
from app.seed import same_id, seed
from loadtests.bench import machine, outages
from loadtests.bench.meter import Ask, Meter
from loadtests.bench.outages import Phase
from slipway.reports import write

#: Seconds of each phase in the long form, which `make bench-outages` asks for; 0 is the short one.
LONG = int(os.environ.get("OUTAGE_SECONDS", "0"))
PER_SECOND = 25 if LONG else 10
ROWS, HEALING = 1000, 3 if LONG else 1
#: A write waits so long for a primary, so the control must last longer.
CONTROL = 12
UP = "all is up"


class Stack:
    """The service with everything that it stands on, and what can be done to each part."""

    def __init__(self, folder, key_file, stack: ExitStack) -> None:
        self.primary = stack.enter_context(postgres_server())
        migrate(self.primary, "payload", folder)
        self.replica = stack.enter_context(replica_of(self.primary))
        self.redis = RedisServer("redis-server", free_port())
        self.redis.start()
        stack.callback(self.redis.stop)
        urls = {"url": self.primary.url("payload"), "replica_url": self.replica.url("payload")}
        self.settings = make_settings(folder, **urls)
        database = Database(self.settings)
        seed(database, ROWS, datetime.now(UTC))
        database.close()
        self._variables = production(self.settings, self.redis.url, key_file)
        self.worker = None
        self.start_worker()
        stack.callback(self.kill_worker)
        self.service = stack.enter_context(running_service(self.settings, **self._variables))
        self.callers = tokens(key_file)

    def start_worker(self) -> None:
        environment = process_environment(self.settings, **self._variables, SLIPWAY_METRICS_PORT=str(free_port()))
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "app.work"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )

    def kill_worker(self) -> None:
        self.worker.kill()
        self.worker.wait()

    def signal_replica(self, number: int) -> None:
        head = int((self.replica.folder / "data" / "postmaster.pid").read_text().split()[0])
        for pid in list(machine.family(head)):
            os.kill(pid, number)

    def newest_message(self) -> int:
        with self.primary.admin("payload") as admin:
            return admin.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]

    def messages(self, newest: int) -> int:
        """How many are left of those that were there when this one was the newest."""
        with self.primary.admin("payload") as admin:
            return admin.execute("SELECT count(*) FROM messages WHERE id <= %s", [newest]).fetchone()[0]


@contextmanager
def gone(inject, heal):
    inject()
    try:
        yield
    finally:
        heal()


def outages_of(stack: Stack):
    """What is done, and undone, in which order; with whether its cost is judged."""
    redis, replica = stack.redis, stack.replica
    return {
        "Redis stands still": (
            lambda: redis.signal(signal.SIGSTOP), lambda: redis.signal(signal.SIGCONT), True,
        ),
        "Redis is killed": (redis.stop, redis.start, True),
        "the replica stands still": (
            lambda: stack.signal_replica(signal.SIGSTOP), lambda: stack.signal_replica(signal.SIGCONT), False,
        ),
        "the replica is killed": (lambda: replica.stop("immediate"), replica.start, False),
        "the worker stands still": (
            lambda: stack.worker.send_signal(signal.SIGSTOP), lambda: stack.worker.send_signal(signal.SIGCONT), False,
        ),
        "the worker is killed": (stack.kill_worker, stack.start_worker, False),
    }  # fmt: skip


def asks(stack: Stack) -> dict[str, Ask]:
    numbers, chance = itertools.count(), random.Random(1)  # noqa: S311 - chance, not secrecy

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {chance.choice(stack.callers)}", "X-Forwarded-For": "192.0.2.1"}

    def get(path) -> httpx.Request:
        return httpx.Request("GET", f"{stack.service.api}{path}", headers=headers())

    def create() -> httpx.Request:
        name = f"outage-{next(numbers)}"
        body = {"name": "Learner", "email": f"{name}@bench.test"}
        more = {"Idempotency-Key": name}
        return httpx.Request("POST", f"{stack.service.api}/v1/users", json=body, headers=headers() | more)

    return {
        "cached read": Ask(lambda: get(f"/v1/users/{same_id('user', chance.randrange(50))}"), 200),
        "read from the database": Ask(lambda: get(f"/v1/posts/{same_id('post', chance.randrange(ROWS))}"), 200),
        "creation with a key": Ask(create, 201),
    }


def catch_up(meter: Meter) -> None:
    """Wait until nothing that was due in one phase is sent in the next."""
    until = time.monotonic() + 60
    while meter.behind() > 1 and time.monotonic() < until:
        time.sleep(0.1)  # between two looks at what other threads do


def handled(stack: Stack) -> int:
    """How many messages of before are left when the worker is back for good."""
    newest, until = (
        stack.newest_message(),
        time.monotonic() + 120,
    )  # published again after 30 s, if the stream lost them
    while (left := stack.messages(newest)) and time.monotonic() < until:
        time.sleep(0.2)  # between two questions to another process
    return left


@pytest.mark.timeout(0 if LONG else 300)
def test_no_request_fails_while_a_part_is_gone(tmp_path, key_file):
    started, began = datetime.now(UTC), time.monotonic()
    phases, seconds = [], LONG or 2
    with ExitStack() as exits:
        stack = Stack(tmp_path, key_file, exits)
        meter = Meter(asks(stack), PER_SECOND)
        meter.start()
        time.sleep(HEALING)  # connections are made, what is cached is cached

        def phase(name, length, **marks) -> None:
            begun = time.monotonic()
            time.sleep(length)
            phases.append(Phase(name, begun, time.monotonic(), **marks))

        phase(UP, seconds)
        for name, (inject, heal, judged) in outages_of(stack).items():
            with gone(inject, heal):
                phase(name, seconds, cost=judged)
            time.sleep(HEALING)
            catch_up(meter)
        left = handled(stack)
        catch_up(meter)
        with gone(lambda: stack.primary.stop("immediate"), stack.primary.start):
            phase("the primary is killed", CONTROL, control=True)
        meter.stop()
    report = outages.report(
        meter.samples, phases, left,
        set_up={"requests per s of each kind": PER_SECOND, "seconds of a phase": seconds},
        started=started, seconds=time.monotonic() - began,
    )  # fmt: skip
    if LONG:
        path = write(report, sections=outages.sections(meter.samples, phases))
        sys.stderr.write(f"\n{path}: {report.verdict}\n")
        assert report.verdict == "pass", [bar for bar in report.bars if not bar.holds]
    wrong = [bar for bar in report.bars if bar.holds is not True and "median" not in bar.what]
    assert not wrong, report.figures["wrong"]
    assert {(it.name, kind) for it in phases for kind in meter.asks} <= set(outages.felt(meter.samples, phases))
