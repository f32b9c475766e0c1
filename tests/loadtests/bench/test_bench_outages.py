"""What is felt in each phase, and the verdict."""

from datetime import UTC, datetime

import pytest

from loadtests.bench import outages
from loadtests.bench.meter import Sample
from loadtests.bench.outages import Phase
from slipway.reports import Verdict, load, write

UP = Phase("all is up", 0, 10)
REDIS = Phase("Redis is killed", 10, 20, cost=True)
CONTROL = Phase("the primary is killed", 20, 30, control=True)
PHASES = [UP, REDIS, CONTROL]


def stream(up=2.0, redis=2.5, *, wrong="", control="status 503"):
    """Ten requests in each phase."""
    return [
        Sample("read", phase.begun + number, ms, text if number == 5 else "")
        for phase, ms, text in ((UP, up, ""), (REDIS, redis, wrong), (CONTROL, 8000.0, control))
        for number in range(10)
    ]


def verdict(samples, left=0):
    made = outages.report(samples, PHASES, left, set_up={}, started=datetime.now(UTC), seconds=30)
    return made, {bar.what: bar.holds for bar in made.bars}


def test_a_request_belongs_to_the_phase_in_which_it_was_due():
    found = outages.felt([Sample("read", 9.99, 5000, ""), Sample("read", 10, 1, "no answer")], PHASES)
    assert (found["all is up", "read"].requests, found["all is up", "read"].most) == (1, 5000)
    assert (found["Redis is killed", "read"].requests, found["Redis is killed", "read"].failed) == (1, 1)


def test_quantiles_are_measured_ones():
    felt = outages.felt([Sample("read", 0, ms, "") for ms in range(1, 101)], [UP])["all is up", "read"]
    assert (felt.p50, felt.p95, felt.p99, felt.most, felt.mean) == (50, 95, 99, 100, 50.5)


@pytest.mark.parametrize(
    ("changes", "left", "says", "failing"),
    [
        ({}, 0, Verdict.PASS, None),
        ({"wrong": "no answer"}, 0, Verdict.FAIL, "Redis is killed: failed"),
        ({"redis": 3.5}, 0, Verdict.FAIL, "Redis is killed: added to the median of read"),
        ({}, 3, Verdict.FAIL, "messages that were not handled once the worker was back"),
        ({"control": ""}, 0, Verdict.INCONCLUSIVE, "control, the primary is killed: failed"),
    ],
)
def test_the_verdict_follows_from_failures_costs_leftovers_and_the_control(changes, left, says, failing):
    made, bars = verdict(stream(**changes), left)
    assert made.verdict is says
    assert [what for what, holds in bars.items() if holds is not True] == ([failing] if failing else [])


def test_the_page_holds_all(tmp_path):
    made, _ = verdict(stream(wrong="status 500"))
    path = write(made, tmp_path, outages.sections(stream(), PHASES))
    assert load(path).figures["wrong"]["Redis is killed"] == {"read: status 500": 1}
    text = path.with_suffix(".html").read_text("utf-8")
    assert "<svg" in text
    assert "Redis is killed" in text
