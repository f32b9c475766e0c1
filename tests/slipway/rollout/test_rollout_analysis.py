"""Verdicts: pass, fail, inconclusive; what counts as which, and that missing knowledge never promotes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout.analysis import Measurement, begin, conclude, due, fold, judge
from slipway.rollout.spec import Metric, Source
from slipway.rollout.status import MetricState, Verdict

METRIC = Metric(name="errors", source=Source.ERROR_RATIO, maximum=0.01, maximum_delta=0.005, min_samples=50)


@pytest.mark.parametrize(
    ("measurement", "verdict"),
    [
        (Measurement(0.004, 0.001, 100), Verdict.PASS),
        (Measurement(0.02, 0.02, 100), Verdict.FAIL),
        (Measurement(0.009, 0.001, 100), Verdict.FAIL),
        (Measurement(0.02, 0.0, 49), Verdict.INCONCLUSIVE),
        (Measurement(0.0, 0.0, None), Verdict.INCONCLUSIVE),
        (Measurement(0.0, 0.0, math.nan), Verdict.INCONCLUSIVE),
        (Measurement(None, 0.0, 100), Verdict.INCONCLUSIVE),
        (Measurement(math.nan, 0.0, 100), Verdict.INCONCLUSIVE),
        (Measurement(math.inf, 0.0, 100), Verdict.INCONCLUSIVE),
        (Measurement(0.0, None, 100), Verdict.INCONCLUSIVE),
        (Measurement(0.0, math.nan, 100), Verdict.INCONCLUSIVE),
        (Measurement(error="timed out"), Verdict.ERROR),
        (Measurement(conclusion=Verdict.FAIL), Verdict.FAIL),
        (Measurement(), Verdict.INCONCLUSIVE),
    ],
)
def test_one_measurement(measurement, verdict):
    assert judge(METRIC, measurement)[0] is verdict


def test_a_lower_bound_holds_too():
    metric = Metric(name="rate", source=Source.ERROR_RATIO, minimum=10, min_samples=0)
    assert judge(metric, Measurement(9)) == (Verdict.FAIL, "9 is below 10")
    assert judge(metric, Measurement(10))[0] is Verdict.PASS


def run(metric: Metric, *measurements: Measurement) -> MetricState:
    (state,) = begin((metric,), 0.0)
    for number, measurement in enumerate(measurements):
        state = fold(metric, state, measurement, float(number))
    return state


GOOD, BAD, EMPTY, BROKEN = (
    Measurement(0.0, 0.0, 100),
    Measurement(0.5, 0.0, 100),
    Measurement(None, None, None),
    Measurement(error="503"),
)


@pytest.mark.parametrize(
    ("changes", "measurements", "verdict"),
    [
        ({"count": 2}, (GOOD,), Verdict.RUNNING),
        ({"count": 2}, (GOOD, GOOD), Verdict.PASS),
        ({"count": 1}, (BAD,), Verdict.FAIL),
        ({"count": 3, "failure_limit": 1}, (BAD, GOOD), Verdict.RUNNING),
        ({"count": 2, "failure_limit": 1}, (BAD, GOOD), Verdict.PASS),
        ({"count": 3, "failure_limit": 1}, (BAD, GOOD, BAD), Verdict.FAIL),
        ({"inconclusive_limit": 1}, (EMPTY,), Verdict.RUNNING),
        ({"inconclusive_limit": 1}, (EMPTY, EMPTY), Verdict.INCONCLUSIVE),
        ({"consecutive_error_limit": 1}, (BROKEN, BROKEN), Verdict.INCONCLUSIVE),
        ({"consecutive_error_limit": 1, "count": 9}, (BROKEN, GOOD, BROKEN), Verdict.RUNNING),
        ({"count": 1}, (GOOD, BAD), Verdict.FAIL),
    ],
)
def test_counts_lead_to_a_verdict(changes, measurements, verdict):
    metric = Metric(name="errors", source=Source.ERROR_RATIO, maximum=0.01, **changes)
    assert run(metric, *measurements).verdict is verdict


anything = st.builds(
    Measurement,
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.sampled_from(("", "no answer")),
)


@given(st.lists(anything, max_size=12), st.integers(1, 4))
def test_only_enough_good_numbers_ever_pass(measurements, count):
    metric = Metric(name="errors", source=Source.ERROR_RATIO, maximum=0.01, count=count, min_samples=10)
    if run(metric, *measurements).verdict is Verdict.PASS:
        good = [m for m in measurements if not m.error and m.value is not None and m.value <= 0.01]
        assert len(good) >= count


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=6))
def test_one_bad_vote_decides_and_silence_is_no_pass(verdicts):
    metrics = [Metric(name=f"m{n}", source=Source.ERROR_RATIO, maximum=1) for n in range(len(verdicts))]
    states = [MetricState(name=f"m{n}", next_at=0, verdict=verdict) for n, verdict in enumerate(verdicts)]
    found = conclude(metrics, states)
    if Verdict.FAIL in verdicts:
        assert found is Verdict.FAIL
    elif found is Verdict.PASS:
        assert set(verdicts) <= {Verdict.PASS, Verdict.ERROR}
    assert conclude(metrics, ()) is Verdict.RUNNING


def test_a_metric_in_dry_run_has_no_vote():
    metric = Metric(name="m", source=Source.ERROR_RATIO, maximum=1, dry_run=True)
    assert conclude([metric], [MetricState(name="m", next_at=0, verdict=Verdict.FAIL)]) is Verdict.PASS


def test_measurements_are_due_after_the_delay_and_then_each_interval():
    metric = Metric(name="m", source=Source.ERROR_RATIO, maximum=1, initial_delay=5, interval=10, count=2)
    states = begin((metric,), 100.0)
    assert due((metric,), states, 104.9) == ()
    assert due((metric,), states, 105.0) == (metric,)
    (state,) = states
    state = fold(metric, state, GOOD, 105.0)
    assert due((metric,), (state,), 114.9) == ()
    assert due((metric,), (state,), 115.0) == (metric,)
