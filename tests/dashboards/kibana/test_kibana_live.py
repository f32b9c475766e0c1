"""Kibana's panels on Elasticsearch: what is asked, and which answers make a panel dead.

The answers are those of a real Elasticsearch core 9.1.4 to these questions over some 300 lines, each list cut to two.
On a cluster: tests/e2e/dashboards.
"""

import copy
import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.kibana.boards import ALL, LOGS, REQUESTS
from dashboards.kibana.live import POINTS, asked, question
from slipway.cli import log_panels
from slipway.cli.log_panels import bars_of_logs, search_of
from slipway.logs.query import SEARCH

START, END = 1000.0, 1600.0
ANSWERS = json.loads(Path(__file__).with_name("answers.json").read_text())
PANELS = {f"{board.uid}: {panel.title}": panel for board in ALL for panel in board.panels}
KNOWN = {"date_histogram", "filter", "max", "percentiles", "terms"}  # of the core; painless and ES|QL are no part of it


@pytest.fixture(params=PANELS, ids=lambda it: it)
def named(request):
    return request.param


def aggregations(found):
    for it in found.values():
        yield from (name for name in it if name != "aggs")
        yield from aggregations(it.get("aggs", {}))


def without(answer, measure):
    """The answer with nothing for one measure."""
    if isinstance(answer, list):
        return [without(it, measure) for it in answer]
    if isinstance(answer, dict):
        return {name: without(it, measure) for name, it in answer.items() if name != measure}
    return answer


def test_there_is_an_answer_to_every_question():
    assert ANSWERS.keys() == PANELS.keys()


def test_a_question_is_one_that_the_core_can_answer(named):
    body = question(PANELS[named], START, END)
    assert set(aggregations(body["aggs"])) <= KNOWN
    assert body["size"] == 0
    first = body["query"]["bool"]["filter"][0]["range"]["@timestamp"]
    assert first == {"gte": "1970-01-01T00:16:40+00:00", "lte": "1970-01-01T00:26:40+00:00"}


def test_a_panel_whose_measures_all_give_something_lives(named):
    found = asked(PANELS[named], lambda _body: ANSWERS[named], START, END)
    assert (found.dead, found.numbers > 0) == ("", True)


def test_a_panel_without_lines_is_dead(named):
    empty = {**ANSWERS[named], "hits": {"total": {"value": 0}}, "aggregations": {"groups": {"buckets": []}}}
    assert asked(PANELS[named], lambda _body: empty, START, END).dead.endswith("gives nothing; 0 lines match")
    nowhere = {name: it for name, it in empty.items() if name != "aggregations"}  # no index at all
    assert "0 lines match" in asked(PANELS[named], lambda _body: nowhere, START, END).dead


def test_one_measure_that_gives_nothing_makes_a_panel_dead(named):
    panel = PANELS[named]
    for at, measure in enumerate(panel.measures):
        found = asked(panel, lambda _body, at=at: without(ANSWERS[named], f"measure{at}"), START, END)
        assert found.dead.startswith(f"{measure.label} gives nothing; ")


def test_lines_without_a_duration_are_no_time_to_the_answer():
    panel = next(it for it in REQUESTS.panels if it.title == "Time to the answer")
    answer = copy.deepcopy(ANSWERS["slipway-requests: Time to the answer"])
    for bucket in answer["aggregations"]["points"]["buckets"]:
        bucket["measure1"]["values"][0]["value"] = None
    assert asked(panel, lambda _body: answer, START, END).dead.startswith("p95 gives nothing")


def test_half_an_answer_is_none():
    panel, answer = LOGS.panels[0], ANSWERS["slipway-logs-overview: Lines by level"]
    for broken in ({"timed_out": True}, {"_shards": {"failed": 1}}):
        assert "only a part of the shards" in asked(panel, lambda _b, it=broken: answer | it, START, END).dead


@given(st.floats(1, 10_080 * 60))
def test_a_line_has_some_points_and_not_too_many(seconds):
    (points,) = question(REQUESTS.panels[2], 0, seconds)["aggs"].values()
    step = int(points["date_histogram"]["fixed_interval"].removesuffix("s"))
    assert step >= 5
    assert seconds / step <= POINTS


def test_groups_are_ordered_by_the_first_measure_and_stand_in_each_other():
    panel = next(it for it in LOGS.panels if it.title == "Slowest requests")
    outer = question(panel, START, END)["aggs"]["groups"]
    assert outer["terms"] == {"field": "http.request.id", "size": 15, "order": {"measure0": "desc"}}
    assert outer["aggs"]["measure0"] == {"max": {"field": "event.duration"}}
    assert outer["aggs"]["groups"]["terms"]["field"] == "http.route"


def test_what_haproxy_prints_of_a_request_is_not_counted_as_a_second_one():
    panel = next(it for it in REQUESTS.panels if it.title == "By status")
    conditions = question(panel, START, END)["query"]["bool"]["filter"]
    assert {"bool": {"must_not": [{"terms": {"event.dataset": ["ingress.access"]}}]}} in conditions


def client(answer):
    return httpx.Client(transport=httpx.MockTransport(answer), base_url="https://elastic.test")


def test_bars_say_what_is_dead_and_what_would_move_it(monkeypatch):
    def answer(request):
        assert request.url.path == SEARCH
        if "http.route" in request.content.decode():
            return httpx.Response(400, text="no such field")
        return httpx.Response(200, json=ANSWERS["slipway-logs-overview: Lines by level"])

    monkeypatch.setattr(log_panels, "reader", lambda _kubectl: client(answer))
    bars = {bar.what: bar for bar in bars_of_logs("a", START, END)}
    assert len(bars) == len(PANELS)
    assert bars["Slipway: logs overview: Lines by level"].holds
    dead = bars["Slipway: requests: By route"]
    assert (dead.holds, dead.measured) == (False, "Elasticsearch refuses with 400: no such field")
    assert "moved by slipway loadtest run crud" in dead.bar


def test_an_elasticsearch_that_is_away_is_told():
    def away(_request):
        raise httpx.ConnectError("refused")

    found = asked(LOGS.panels[0], search_of(client(away)), START, END)
    assert found.dead == "Elasticsearch does not answer: refused"
