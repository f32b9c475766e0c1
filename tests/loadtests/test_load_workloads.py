"""The shapes of load: what is planned is what the stages say, at every moment and in sum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.plan import SCENARIOS, LoadPlan
from loadtests.workloads import WORKLOADS, ShapeError, Stage, Workload

shares = st.floats(0, 1)


@st.composite
def workloads(draw):
    """Any shape: some stages, one of which reaches the highest rate."""
    parts = draw(st.lists(st.tuples(shares, shares, st.integers(1, 20)), min_size=1, max_size=6))
    total = sum(time for _, _, time in parts)
    stages = [Stage(start, end, time / total) for start, end, time in parts]
    top = draw(st.integers(0, len(stages) - 1))
    stages[top] = Stage(1, stages[top].end, stages[top].time)
    return Workload("any", tuple(stages), 10, 10)


def rate_at(made, when):
    for stage in made.stages:
        if when < stage.time:
            return stage.start + (stage.end - stage.start) * when / stage.time
        when -= stage.time
    return made.stages[-1].end


@given(workloads())
def test_the_mean_is_the_sum_over_all_moments(made):
    moments = 4000
    summed = sum(rate_at(made, (moment + 0.5) / moments) for moment in range(moments)) / moments
    assert summed == pytest.approx(made.mean, abs=5e-3)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "add up to 0"),
        ((Stage(1, 1, 0.5),), "add up to 0.5"),
        ((Stage(1, 1, 2), Stage(1, 1, -1)), "each must be above 0"),
        ((Stage(0, 0.5, 1),), "highest rate of the stages is 0.5"),
        ((Stage(-1, 1, 1),), "none below 0"),
    ],
)
def test_what_is_no_shape_is_refused(stages, message):
    with pytest.raises(ShapeError, match=message):
        Workload("no", stages, 1, 1)


@pytest.mark.parametrize(
    ("name", "mean"),
    [("constant", 1), ("smoke", 1), ("average", 0.9), ("stress", 0.9), ("soak", 0.9), ("spike", 0.28),
     ("stairs", 0.6), ("breakpoint", 0.5)],
)  # fmt: skip
def test_what_each_workload_plans(tmp_path, name, mean):
    made = LoadPlan(
        scenario="crud", base_url="https://a.test", rate=1000, duration=100, workdir=tmp_path, workload=name
    ).guarded()
    assert made.planned == round(100_000 * mean)
    assert 0.9 * made.planned <= made.min_requests <= made.planned
    assert made.breaks_at == (500 if name == "breakpoint" else 0)


def test_these_are_the_workloads_and_scenarios():
    assert set(WORKLOADS) == {
        "constant",
        "smoke",
        "rollout",
        "average",
        "stress",
        "soak",
        "spike",
        "stairs",
        "breakpoint",
    }
    assert set(SCENARIOS) == {"smoke", "crud", "read-mostly", "search", "login", "async", "page"}
    assert WORKLOADS["stress"].rate == 2 * WORKLOADS["average"].rate
    assert WORKLOADS["soak"].seconds > 10 * WORKLOADS["average"].seconds
