"""What is shown of answers of Prometheus: dead panels are named, the others are drawn."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qs
from xml.etree import ElementTree as ET

import pytest

from dashboards import render
from dashboards.grafana.boards import ALL, OVERVIEW, ROLLOUT, boards
from dashboards.grafana.model import Kind, Unit
from dashboards.live import Drawn, Prometheus, PrometheusError, Series, drawn, legend
from slipway.cli.dashboards import application
from slipway.reports.plots import VERSIONS

START, END = 1000.0, 1600.0


class Answers:
    """A Prometheus that gives every question the same series, but for those that it was told to fail or to forget."""

    def __init__(self):
        self.asked, self.forgets, self.fails = [], "", ""
        self.labels = {"colour": "blue", "pod": "<b>a</b>", "slo": "availability"}

    def __call__(self, path):
        query = parse_qs(path.partition("?")[2])
        expression = query["query"][0]
        self.asked.append(query)
        if self.fails and self.fails in expression:
            return json.dumps({"status": "error", "error": "parse error"})
        values = [[START + 60 * minute, str(minute)] for minute in range(10)] + [[END, "NaN"]]
        found = [] if self.forgets and self.forgets in expression else [{"metric": self.labels, "values": values}]
        return json.dumps({"status": "success", "data": {"result": found}})


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def prometheus(answers):
    return Prometheus(answers)


def dead(found):
    return {it.panel.title: it.dead for it in found if it.dead}


def test_a_panel_whose_queries_give_something_lives(prometheus, answers):
    assert dead(drawn(OVERVIEW, prometheus, START, END)) == {}
    assert all(query["step"] == ["5"] for query in answers.asked)
    assert 'namespace="dev"' in answers.asked[0]["query"][0]


@pytest.mark.parametrize("board", boards(traces=True), ids=lambda it: it.uid)
def test_each_dashboard_has_a_picture_that_stands_by_itself(board, prometheus):
    svg = render.picture(drawn(board, prometheus, START, END), START)
    root = ET.fromstring(svg)  # noqa: S314 - drawn by us a moment ago
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = {it.text for it in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {it.title for it in board.panels if it.kind is Kind.LINES} <= texts
    assert "color:#1d2026" in root.attrib["style"]
    assert not [it for it in re.findall(r' d="([^"]*)"', svg) if re.search(r"\.\d\d", it)], "it stays small"
    assert render.picture([], START) == ""


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        (Unit.SECONDS, 0.25, "250 ms"),
        (Unit.SECONDS, 30, "30 s"),
        (Unit.SECONDS, 600, "10 min"),
        (Unit.SECONDS, 90 * 60, "90 min"),
        (Unit.SECONDS, 36 * 3600, "36 h"),
        (Unit.SECONDS, 30 * 86_400, "30 days"),
        (Unit.BYTES, 3 * 2**20, "3 MiB"),
        (Unit.BYTES, 6 * 2**30, "6 GiB"),
        (Unit.SHARE, 0.5, "50 %"),
        (Unit.COUNT, 7, "7"),
    ],
)
def test_values_are_shown_in_a_unit_that_people_read(unit, value, shown):
    found = Drawn(replace(OVERVIEW.panels[0], unit=unit), (("a", Series({}, ((END, value),))),), "")
    assert render.number(found) == f"a: {shown}"
    assert render.axes(found, START).unit == shown.partition(" ")[2]


@pytest.mark.parametrize(("highest", "drawn_"), [(0.004, False), (0.006, True), (0.02, True)])
def test_a_limit_is_drawn_as_soon_as_values_come_near_it(highest, drawn_):
    panel = next(it for it in OVERVIEW.panels if it.limit == 0.01)
    found = Drawn(panel, (("blue", Series({}, ((START, highest), (END, highest)))),), "")
    texts = {it.text for it in ET.fromstring(render.picture([found], START)).iter()}  # noqa: S314 - drawn by us
    assert ("limit" in texts) is drawn_


def test_lines_of_a_version_have_its_colour_and_no_other_line_has():
    names = ("other", "green 0.5", "green 0.99", "blue 0.99", "more")
    found = Drawn(OVERVIEW.panels[0], tuple((name, Series({}, ((START, 1.0), (END, 2.0)))) for name in names), "")
    assert {it.label: it.colour for it in render.axes(found, START).lines} == {
        **dict.fromkeys(("green 0.5", "green 0.99"), VERSIONS["green"]),
        "blue 0.99": VERSIONS["blue"],
        "other": None,
        "more": None,
    }


def test_what_stands_between_backticks_is_code_and_nothing_else_is_markup(prometheus):
    board = replace(ROLLOUT, description="Ask `slipway <logs>` of <b>.")
    text = render.page(board, drawn(board, prometheus, START, END), start=START, end=END)
    assert "Ask <code>slipway &lt;logs&gt;</code> of &lt;b&gt;." in text


def test_a_query_that_gives_nothing_makes_its_panel_dead(prometheus, answers):
    answers.forgets = "slipway:errors"
    assert dead(drawn(OVERVIEW, prometheus, START, END)) == {
        "Failed requests by version": 'slipway:errors:ratio_rate1m{namespace="dev", service="payload"} gives nothing'
    }


def test_a_query_that_fails_makes_its_panel_dead(prometheus, answers):
    answers.fails = "slipway:weight:share"
    (why,) = dead(drawn(ROLLOUT, prometheus, START, END)).values()
    assert "parse error" in why


def test_a_series_of_nothing_but_not_a_number_is_nothing():
    body = {"status": "success", "data": {"result": [{"metric": {}, "values": [[1, "NaN"], [2, "+Inf"]]}]}}
    assert len(dead(drawn(OVERVIEW, Prometheus(lambda _: json.dumps(body)), START, END))) == len(OVERVIEW.panels)


def test_a_prometheus_that_is_away_is_told():
    def away(_path):
        raise OSError("refused")

    with pytest.raises(PrometheusError, match=r"does not answer .*refused"):
        Prometheus(away).series("up", START, END)


def test_a_page_shows_every_panel_and_no_foreign_markup(prometheus):
    for board in ALL:
        text = render.page(board, drawn(board, prometheus, START, END), start=START, end=END, others=ALL)
        assert all(panel.title in text for panel in board.panels)
        assert "<b>a</b>" not in text
        assert 'href="slipway-rollout.html"' in text or board is ROLLOUT


def test_a_dead_panel_says_so_on_its_page(prometheus, answers):
    answers.forgets = "slo:current"
    found = drawn(OVERVIEW, prometheus, START, END)
    assert "gives nothing" in render.page(OVERVIEW, found, start=START, end=END)


def test_pages_are_served_with_times_and_links(prometheus, answers):
    client = application(prometheus, "staging").test_client()
    assert client.get("/").headers["Location"] == "/slipway-overview"
    page = client.get("/slipway-rollout?minutes=5")
    assert page.status_code == 200
    assert 'http-equiv="refresh"' in page.text
    assert '<a href="?minutes=120">' in page.text
    assert 'namespace="staging"' in answers.asked[-1]["query"][0]
    span = float(answers.asked[-1]["end"][0]) - float(answers.asked[-1]["start"][0])
    assert span == pytest.approx(300, abs=1)
    missing = client.get("/slipway-nothing")
    assert missing.status_code == 404
    assert "there are slipway-overview" in missing.text


def test_traces_are_served_where_they_are_kept(prometheus):
    assert application(prometheus, "dev").test_client().get("/slipway-traces").status_code == 404
    page = application(prometheus, "dev", boards(traces=True)).test_client().get("/slipway-traces")
    assert (page.status_code, "Spans waiting" in page.text) == (200, True)


def test_a_legend_is_filled_in():
    assert legend("{{colour}} {{quantile}}", {"colour": "blue", "quantile": "0.95"}) == "blue 0.95"
    assert legend("{{outcome}} {{error_type}}", {"outcome": "success"}) == "success"
    assert legend("{{job}}", {}) == "all"
