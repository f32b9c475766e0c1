from contextlib import contextmanager
from dataclasses import replace

import pytest

from loadtests.plan import LoadPlan
from loadtests.stream import Second
from loadtests.verdict import ExitClass
from slipway.proof import ingress_bench
from slipway.proof.ingress_bench import Bench, RouteError, Stand, failures, per_second
from slipway.proof.ingress_rounds import CONNECTIONS, Route
from slipway.reports import Verdict, render, write

LIMIT = 0.25
SECONDS = 10


class Pod:
    """A pod behind an ingress: what it bears, what the ingress takes of it and adds to it."""

    def __init__(self, good, clock, folder):
        self.good, self.clock = good, clock
        self.bears, self.keeps, self.adds = 200.0, 0.98, 0.8
        self.busy, self.used, self.harmed = 0.97, 0.0, False
        self.failed = dict.fromkeys(Route, 0)
        self.resent = 0
        self.plans, self.order = [], []
        self.exit_class = ExitClass.PASS
        self.harm_works = True
        self.limited = True
        addresses = {Route.DIRECT: "http://10.244.0.7:8080", Route.INGRESS: "https://bench.payload.dev.slipway.test"}
        self.stand = Stand(
            plans={
                route: LoadPlan(scenario="page", base_url=url, rate=1, duration=1, workdir=folder)
                for route, url in addresses.items()
            },
            cpu_limit=LIMIT,
            cpu_used=lambda: self.used,
            unlimited=self.unlimited,
            harm=self.harm,
        )

    @contextmanager
    def unlimited(self):
        self.limited = False
        yield
        self.limited = True

    def harm(self):
        self.harmed = self.harm_works

    def run(self, plan):
        self.plans.append(plan)
        route = Route.INGRESS if plan.base_url.startswith("https") else Route.DIRECT
        full = plan.vus <= CONNECTIONS
        self.order.append((route, full))
        assert self.limited is full, "the limit makes the bottleneck of full runs, and pauses in even ones"
        self.clock.wait(plan.duration)
        worse = route is Route.INGRESS and self.harmed
        bears = self.bears * (self.keeps if route is Route.INGRESS else 1) * (0.2 if worse else 1)
        answered = round(min(plan.rate, bears))
        self.used += LIMIT * (plan.duration + plan.tail) * self.busy * (1 if full else 0.5)
        p99 = 5.0 + (self.adds if route is Route.INGRESS else 0) + (1000 if worse else 0)
        dropped = max(0, plan.rate - answered) * SECONDS
        bad = self.failed[route]
        at = int(self.clock.now().timestamp())
        timeline = tuple(
            Second(at + i, answered + bad, bad, 0, 0, dropped // SECONDS, 1.0, 2.0, p99, {"200": answered})
            for i in range(SECONDS)
        )
        return replace(
            self.good, exit_class=self.exit_class, requests=answered * SECONDS, failed=bad + dropped, dropped=dropped,
            resent=self.resent if route is Route.DIRECT else 0, p50=2.0, p99=p99, timeline=timeline,
        )  # fmt: skip

    def measure(self, rounds=3):
        return Bench(self.run, self.clock, seconds=SECONDS, say=lambda _: None).measure(self.stand, rounds)


@pytest.fixture
def pod(good, clock, tmp_path):
    return Pod(good, clock, tmp_path)


def measured(report):
    return {bar.what: bar.measured for bar in report.bars}


def test_an_ingress_that_costs_little_passes_and_the_control_fails_as_it_must(pod):
    report, sections = pod.measure()
    assert report.verdict is Verdict.PASS, report.bars
    assert report.name == "bench-ingress"
    assert measured(report)[ingress_bench.SHARE] == pytest.approx(0.98)
    assert measured(report)[ingress_bench.ADDED] == pytest.approx(0.8)
    assert report.figures["control"]["share"] < 0.25
    assert "<svg" in render(report, sections)


@pytest.mark.parametrize(
    ("change", "bar"),
    [
        ({"keeps": 0.89}, ingress_bench.SHARE),
        ({"adds": 2.1}, ingress_bench.ADDED),
        ({"failed": {Route.DIRECT: 0, Route.INGRESS: 1}}, ingress_bench.FAILED),
    ],
    ids=["fewer requests", "slower", "one failed"],
)
def test_an_ingress_that_costs_more_fails(pod, change, bar):
    for name, value in change.items():
        setattr(pod, name, value)
    report, _ = pod.measure()
    assert report.verdict is Verdict.FAIL
    assert [it.what for it in report.bars if it.holds is False] == [bar]


def test_where_the_pod_was_not_the_bottleneck_nothing_is_proven(pod):
    pod.busy = 0.8
    report, _ = pod.measure()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert [it.what for it in report.bars if it.holds is None] == [ingress_bench.BOTTLENECK]


def test_a_control_in_which_no_harm_shows_proves_nothing(pod):
    pod.harm_works = False
    report, _ = pod.measure()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.bars[-1].holds is None


def test_both_ways_take_turns_with_the_same_load(pod):
    pod.measure(rounds=2)
    D, I = Route.DIRECT, Route.INGRESS  # noqa: E741, N806 -- a table
    assert pod.order == [
        (D, True),
        *((D, True), (I, True), (D, False), (I, False)),
        *((I, True), (D, True), (I, False), (D, False)),
        *((D, True), (I, True), (D, False), (I, False)),
    ]
    full = {plan.rate for plan in pod.plans[1:] if plan.vus <= CONNECTIONS}
    even = {plan.rate for plan in pod.plans[1:] if plan.vus > CONNECTIONS}
    assert (full, even) == ({400}, {100}), "above what it bears, and half of it, on both ways"
    assert {plan.vus for plan in pod.plans if plan.rate >= 400} == {CONNECTIONS}


def test_a_run_that_k6_could_not_measure_leaves_every_bar_open_and_is_kept(pod, tmp_path):
    pod.exit_class = ExitClass.INCONCLUSIVE
    report, sections = pod.measure()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert len(report.bars) == 5
    assert all(bar.holds is None for bar in report.bars)
    assert write(report, tmp_path, sections).is_file()


def test_a_request_sent_twice_counts_only_where_the_ingress_names_connections(good):
    result = replace(good, failed=7, dropped=4, resent=2)
    assert (failures(Route.INGRESS, result), failures(Route.DIRECT, result)) == (3, 1)


def test_the_parts_of_seconds_at_both_ends_are_left_out_and_failed_requests_are_no_answers():
    def second(at, requests, failed=0):
        return Second(at, requests, failed, 0, 0, 0, 1.0, 1.0, 1.0, {})

    seconds = [second(0, 10), second(1, 100), second(2, 100, 30), second(3, 100), second(4, 10)]
    assert per_second(seconds) == pytest.approx(90)
    with pytest.raises(RouteError, match="4 seconds is too short"):
        per_second(seconds[:4])
