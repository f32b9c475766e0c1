import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadtests.k6 import LoadResult
from loadtests.plan import LoadPlan
from loadtests.stream import Second, Totals
from loadtests.verdict import ExitClass
from slipway.proof.kube import Container, Pod
from slipway.proof.writer import Answer

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class FakeClock:
    """Time that passes only when someone waits."""

    def __init__(self):
        self.passed = 0.0
        self.on_wait = []

    def now(self):
        return START + timedelta(seconds=self.passed)

    def steady(self):
        return 1000.0 + self.passed

    def wait(self, seconds):
        assert seconds > 0
        self.passed += seconds
        for call in self.on_wait:
            call()


class FakeRun:
    """A load that answers at its rate as the fake clock goes; `outcome` becomes its result when it is finished."""

    def __init__(self, clock, plan, outcome):
        self.clock, self.plan, self.outcome = clock, plan, outcome
        self.begun = self.dies_at = None
        self.left = self.finished = False

    def __enter__(self):
        self.begun = self.clock.steady()
        return self

    def __exit__(self, *_):
        self.left = True

    def alive(self):
        return self.dies_at is None or self.clock.steady() < self.dies_at

    def totals(self):
        return Totals(requests=int((self.clock.steady() - self.begun) * self.plan.rate))

    def seconds(self):
        return ()

    def finish(self):
        self.finished = True
        return replace(self.outcome, requests=self.totals().requests)


class FakeRecords:
    """The service in memory, with as many faults as asked for; shared by all its clients."""

    def __init__(self):
        self.kept = []  # (identity, mark), so that a double can be there
        self.keys = {}
        self.names, self.shown = {}, {}  # by identity: as changed, and as replicas show them
        self.holding = False
        self.next = []  # answers for the next writes: "lost" "late" "refused" "torn" or None
        self.closed = 0
        self.wrote = threading.Event()  # the ledger, at least once
        self.looked = threading.Event()  # a reader of its own writes, at least once
        self._lock = threading.Lock()

    def connect(self):
        return self

    def create(self, key, mark):
        with self._lock:
            try:
                return self._create(key, mark)
            finally:
                if not key.startswith("own-"):
                    self.wrote.set()

    def _create(self, key, mark):
        how = self.next.pop(0) if self.next else None
        if how == "refused":
            return Answer(422)
        if how == "torn":
            return Answer(0, error="ReadTimeout: ")
        if key not in self.keys:
            self.keys[key] = str(uuid.uuid4())
            if how != "lost":
                self.kept.append((self.keys[key], mark))
        if how == "late":
            return Answer(503)
        return Answer(201, self.keys[key])

    def rename(self, identity, name):
        self.names[identity] = name
        if not self.holding:
            self.shown[identity] = name
        return "0/1"

    def name_of(self, identity, token):
        """With a token the primary answers, without one a replica."""
        self.looked.set()
        return (self.names if token else self.shown).get(identity, "")

    def hold(self):
        self.holding = True

    def free(self):
        self.holding, self.shown = False, dict(self.names)

    def exists(self, identity, mark):
        return (identity, mark) in self.kept

    def marks(self, prefix):
        return [mark for _, mark in self.kept if mark.startswith(prefix)]

    def delete(self, identity):
        self.kept = [one for one in self.kept if one[0] != identity]

    def close(self):
        self.closed += 1


class FakeKube:
    """Pods by namespace; deleting one makes another, which is ready after `slow` questions."""

    def __init__(self):
        self.all = []
        self.nodes = {"node-1", "node-2", "node-3"}
        self.calls = []

    def add(self, name, *, namespace="dev", node="node-1", ready=True, restarts=0, labels=None, others=()):
        containers = tuple(Container(it, f"id-{name}", ready, restarts) for it in ("web", *others))
        self.all.append(Pod(namespace, name, name, node, "10.0.0.1", ready, False, labels or {"app": "x"}, containers))

    def pods(self, namespace, labels):
        return tuple(
            pod
            for pod in sorted(self.all, key=lambda one: one.name)
            if pod.namespace == namespace and labels.items() <= pod.labels.items()
        )

    def delete_pods(self, namespace, names, *, at_once=False):
        self.calls.append(("delete", namespace, tuple(names), at_once))
        for name in names:
            old = next(pod for pod in self.all if (pod.namespace, pod.name) == (namespace, name))
            self.all.remove(old)
            self.all.append(replace(old, name=f"{name}x"))

    def ready_nodes(self):
        return frozenset(self.nodes)

    def drain(self, node, *, within):
        self.calls.append(("drain", node, within))
        self.nodes.discard(node)

    def uncordon(self, node):
        self.calls.append(("uncordon", node))
        self.nodes.add(node)


class FakeAccount:
    """What a person was told, in order."""

    def __init__(self):
        self.told = []

    def step(self, text):
        self.told.append(text)

    detail = step


@pytest.fixture
def account():
    return FakeAccount()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def records():
    return FakeRecords()


@pytest.fixture
def kube():
    return FakeKube()


@pytest.fixture
def plan(tmp_path):
    return LoadPlan(scenario="crud", base_url="https://a.test", rate=100, duration=30, workdir=tmp_path / "runs")


@pytest.fixture
def good():
    """A load result without a fault."""
    at = int(START.timestamp())
    timeline = tuple(Second(at + i, 100, 0, 0, 0, 0, 1.0, 2.0, 3.0, {"200": 100}) for i in range(30))
    return LoadResult(
        exit_class=ExitClass.PASS, reasons=(), run_id="r", started=START, requests=3000, failed=0, dropped=0, resent=0,
        unkeyed_failed=0, allowed=0, cut_off=0, rate_achieved=100.0, p50=1.0, p95=2.0, p99=3.0, statuses={"200": 3000},
        shares={}, seconds=30.0, timeline=timeline, failures=(), failure_reasons={}, read_gaps=(), write_gaps=(),
        summary=Path("summary.json"), folder=Path("run"),
    )  # fmt: skip


@pytest.fixture
def runs(clock, good):
    """Starts fake loads one after the other; `outcomes` are their results, the last one again and again."""

    class Runs(list):
        outcomes = [good]  # noqa: RUF012 -- one instance a test

        def begin(self, plan):
            outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
            self.append(FakeRun(clock, plan, outcome))
            return self[-1]

    return Runs()
