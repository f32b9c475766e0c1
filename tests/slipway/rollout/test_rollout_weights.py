"""Weight arithmetic against what the ingress controller computes, and the rules every plan keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout.weights import LARGEST, agrees, plan, rebalance, replicas_for, share_of

pods = st.integers(1, 40)
percents = st.integers(0, 100)


@pytest.mark.parametrize(
    ("groups", "initial", "servers"),
    [  # computed by the ingress controller's own function, v0.16.1
        (((95, 10), (5, 1)), 1, (1, 1)),
        (((95, 10), (5, 1)), 100, (190, 100)),
        (((99, 2), (1, 2)), 100, (256, 2)),
        (((99, 20), (1, 1)), 100, (256, 51)),
        (((75, 3), (25, 2)), 100, (200, 100)),
        (((50, 3), (50, 3)), 100, (100, 100)),
        (((100, 3), (0, 3)), 100, (100, 0)),
        (((0, 3), (100, 3)), 100, (0, 100)),
        (((256, 1), (1, 20)), 100, (256, 1)),
    ],
)
def test_rebalance_is_what_the_ingress_controller_computes(groups, initial, servers):
    assert rebalance(groups, initial) == servers


@given(percents, pods, pods)
def test_a_plan_is_representable_and_exact_at_its_ends(percent, stable, candidate):
    found = plan(percent, stable, candidate)
    assert 0 <= found.stable <= LARGEST
    assert 0 <= found.candidate <= LARGEST
    assert 0 <= found.stable_server <= LARGEST
    assert 0 <= found.candidate_server <= LARGEST
    assert found.share == share_of(found.stable_server, stable, found.candidate_server, candidate)
    if percent in {0, 100}:
        assert found.share == percent
    else:
        assert 0 < found.share < 100, "both colours keep some requests"


@given(percents, st.integers(1, 10), st.integers(1, 10))
def test_with_up_to_ten_pods_a_side_the_split_is_within_four_points(percent, stable, candidate):
    assert abs(plan(percent, stable, candidate).share - percent) <= 4.0


@given(st.sampled_from((1, 5, 25, 50)), st.integers(1, 10))
def test_the_usual_steps_are_within_half_a_point_for_equal_colours(percent, count):
    assert abs(plan(percent, count, count).share - percent) <= 0.5


@given(percents, pods, pods)
def test_a_plan_read_back_agrees_with_itself(percent, stable, candidate):
    found = plan(percent, stable, candidate)
    assert agrees(percent, found.share, found.share)


@pytest.mark.parametrize(
    ("percent", "expected", "share", "holds"),
    [
        (0, 0.0, 0.0, True),
        (0, 0.0, 0.1, False),
        (100, 100.0, 99.9, False),
        (5, 4.83, 4.83, True),
        (5, 4.83, 0.0, False),
        (5, 4.83, 9.1, False),
        (50, 50.0, 100.0, False),
    ],
)
def test_nothing_and_everything_must_be_exact(percent, expected, share, holds):
    assert agrees(percent, expected, share) is holds


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((101, 1, 1), "101 %"), ((-1, 1, 1), "-1 %"), ((5, 2, 0), "no ready pod"), ((5, 0, 2), "stable colour")],
)
def test_an_impossible_split_is_refused_with_its_reason(arguments, text):
    with pytest.raises(ValueError, match=text):
        plan(*arguments)


@given(st.integers(0, 100), st.integers(1, 500))
def test_enough_pods_for_the_share_and_never_more_than_all(percent, need):
    count = replicas_for(percent, need)
    assert 1 <= count <= need
    assert count * 100 >= need * percent
