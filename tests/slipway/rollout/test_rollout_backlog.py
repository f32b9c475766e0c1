"""Workers by what waits: the number, and the query that it rests on."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout import backlog
from slipway.rollout.spec import QueueScaling

QUERY = 'max(messages{namespace="{{namespace}}",colour="{{colour}}"})'
SCALING = QueueScaling(query=QUERY, messages_per_worker=50, max_replicas=5)
WAITING = st.integers(0, 10**9).map(float)
COUNT = st.integers(0, 100)


@pytest.mark.parametrize(("waiting", "workers"), [(0, 1), (50, 1), (51, 2), (100, 2), (101, 3), (1e6, 5)])
def test_each_worker_has_so_many_messages_to_itself(waiting, workers):
    assert backlog.workers(SCALING, least=1, present=3, waiting=waiting) == workers


@given(st.tuples(WAITING, WAITING).map(sorted), COUNT, st.integers(1, 1000), st.integers(1, 100))
def test_between_floor_and_ceiling_and_never_fewer_for_more(waiting, least, each, most):
    scaling, most_of_all = replace(SCALING, messages_per_worker=each, max_replicas=most), max(most, least)
    low, high = (backlog.workers(scaling, least=least, present=7, waiting=it) for it in waiting)
    assert least <= low <= high <= most_of_all
    assert high * each >= waiting[1] or high == most_of_all
    assert low == least or math.ceil(waiting[0] / each) >= low


@given(COUNT, st.integers(1, 5))
def test_when_nobody_knows_what_waits_none_comes_and_none_goes(present, least):
    assert backlog.workers(SCALING, least=least, present=present, waiting=None) == min(max(present, least), 5)


def test_what_counts_is_the_peak_of_the_time_in_which_none_may_go():
    assert backlog.peak(SCALING) == f"max(max_over_time(({QUERY})[300s:5s]))"
    assert backlog.peak(replace(SCALING, scale_down_seconds=0)).endswith("[15s:5s]))")
