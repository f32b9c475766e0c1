"""Workers by what waits: the number, its query, and what one look makes of a real answer or of none."""

import asyncio
import logging
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_world import SPEC
from test_rollout_cluster import PlayedApi, PlayedRouter

from slipway.rollout import backlog
from slipway.rollout.cluster import ClusterPorts, World
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import QueueScaling, Workers
from slipway.rollout.status import Colour, Phase, Revision, RolloutStatus

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


class Asked:
    """A metrics source that is up."""

    def __init__(self, *found):
        self.found, self.queries = list(found), []

    async def answers(self):
        return True

    async def ask(self, query):
        self.queries.append(query)
        found = self.found.pop(0)
        if isinstance(found, ValueError):
            raise found
        return found


def looks(source, count=1, query=QUERY):
    scaling = replace(SCALING, query=query)
    spec = replace(SPEC, workers=Workers(template="payload-worker", autoscaling=scaling))
    stable = Revision(hash="old", image=spec.image, number=1, colour=Colour.GREEN, workers=True)
    rollout = Rollout("payload", "dev", "u", 1, "1", spec, RolloutStatus(phase=Phase.DONE, stable=stable))
    ports = ClusterPorts(World(PlayedApi({}), None, PlayedRouter(), source), "dev", "payload")

    async def go():
        return [(await ports.look(rollout, 1)).waiting for _ in range(count)]

    return asyncio.run(go())


def test_the_queue_of_the_colour_that_serves_is_asked_for():
    source = Asked(120.0)
    assert looks(source) == [120.0]
    assert source.queries == ['max(max_over_time((max(messages{namespace="dev",colour="green"}))[300s:5s]))']


def test_a_source_that_does_not_answer_is_told_of_once(caplog):
    away = ValueError("the metrics source does not answer")
    with caplog.at_level(logging.WARNING):
        assert looks(Asked(away, away, 3.0, away), 4) == [None, None, 3.0, None]
    assert [record.message for record in caplog.records] == ["nobody knows what waits"] * 2


@pytest.mark.parametrize(("source", "query"), [(None, QUERY), (Asked(), "messages{{elsewhere}}")])
def test_what_cannot_be_asked_changes_nothing_and_says_why(source, query, caplog):
    assert looks(source, query=query) == [None]
    (record,) = caplog.records
    told = vars(record)["error.message"]
    assert "no Prometheus" in told or "'elsewhere'; known are colour, namespace, rollout, service" in told
