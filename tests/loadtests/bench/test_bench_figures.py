"""Ratios, spread, doubt and verdict of a comparison of servers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench import page
from loadtests.bench.figures import BARE, PAYLOAD, Comparison, Shooting, bars, doubt, ratios, spread
from loadtests.bench.wrk import Shot
from slipway.reports import Verdict, load, write

FAST, SLOW = (PAYLOAD, "JSON"), (BARE, "JSON")
HALF = Comparison("JSON / bare", FAST, SLOW, 0.75, 0.82)


def shooting(rate, *, busy=0.98, generator=0.1, wrong=0):
    return Shooting(Shot(int(rate * 2), 2.0, wrong, 5.0, 20.0, generator), busy * 2)


def shootings(fast, slow, **changes):
    return {FAST: [shooting(rate, **changes) for rate in fast], SLOW: [shooting(rate) for rate in slow]}


def test_a_ratio_is_of_rates_of_the_same_round():
    found = ratios(shootings([800, 100, 850], [1000, 100, 1000]), HALF)
    assert (found.middle, found.least, found.most) == (0.85, 0.8, 1.0)
    assert str(found) == "0.85 (0.80 to 1.00)"


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="zip"):
        ratios(shootings([800, 100], [1000]), HALF)


@given(st.lists(st.floats(1, 1e6), min_size=1))
def test_the_middle_is_between_the_ends(values):
    found = spread(values)
    assert found.least <= found.middle <= found.most


@pytest.mark.parametrize(("rate", "holds"), [(750, True), (749, False), (2000, True)])
def test_a_bar_holds_from_its_number_on(rate, holds):
    bar, answers = bars(shootings([rate] * 3, [1000] * 3), [HALF])
    assert (bar.what, bar.bar, bar.holds) == ("JSON / bare", ">= 0.75", holds)
    assert answers.holds


def test_one_wrong_answer_fails():
    assert bars(shootings([900], [1000], wrong=1), [HALF])[-1].holds is False


@pytest.mark.parametrize(
    ("changes", "why"), [({"busy": 0.6}, "used 60% of its core only"), ({"generator": 0.9}, "generator used 90%")]
)
def test_what_was_not_the_servers_speed_has_no_answer(changes, why):
    found = shootings([9000] * 3, [1000] * 3, **changes)
    assert why in doubt(found, HALF)
    bar = bars(found, [HALF])[0]
    assert bar.holds is None
    assert why in str(bar.measured)


def test_cpu_is_told_for_a_thousand_requests():
    assert shooting(1000, busy=0.5).cpu_ms == pytest.approx(500)


@pytest.mark.parametrize(
    ("rate", "busy", "verdict"),
    [(900, 1.0, Verdict.PASS), (500, 1.0, Verdict.FAIL), (900, 0.3, Verdict.INCONCLUSIVE)],
)
def test_the_report_says_what_follows(rate, busy, verdict, tmp_path):
    found = shootings([rate] * 3, [1000] * 3, busy=busy)
    budget = {"bare Flask, in all": 50.0, "metrics": 31.26}
    made = page.report(found, [HALF], set_up={"load": "wrk"}, budget=budget, started=datetime.now(UTC), seconds=12.34)
    path = write(made, tmp_path, page.sections(found, [HALF], budget))
    assert load(path).verdict is verdict
    assert made.figures["adds to a request, microseconds"] == {"bare Flask, in all": 50.0, "metrics": 31.3}
    assert made.figures["ratio of rates"]["JSON / bare"] == dict.fromkeys(("median", "least", "most"), rate / 1000)
    text = path.with_suffix(".html").read_text("utf-8")
    assert "<svg" in text
    assert "31.3" in text
