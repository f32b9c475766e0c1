"""The dashboards as values, as Grafana's JSON, and as PromQL."""

import itertools
import json
import re
from dataclasses import replace

import pytest
import yaml

from dashboards.grafana import emit
from dashboards.grafana.boards import ALL, OVERVIEW, TRACES, boards
from dashboards.grafana.model import VARIABLES, Dashboard, Panel, Query, Row, Unit, filled
from dashboards.rules.present import Present
from infra.components.metrics import rules
from infra.components.scrapes import TRACES_TARGETS

PANEL = Panel("A", "What it shows.", Unit.COUNT, (Query("up", "{{job}}"),), "slipway loadtest run crud")


EVERY = boards(traces=True)


@pytest.fixture(params=EVERY, ids=lambda it: it.uid)
def board(request):
    return request.param


def test_every_dashboard_that_is_promised_is_there():
    assert [it.title for it in ALL] == [
        "Overview",
        "Rollout",
        "Ingress",
        "Service",
        "Data",
        "Kubernetes",
        "Logs",
        "Load test",
    ]
    assert len({it.uid for it in EVERY}) == len(EVERY)


def test_a_platform_without_traces_has_no_panels_about_them():
    assert boards(traces=False) == ALL
    assert boards(traces=True) == (*ALL, TRACES)
    told = {panel.title for panel in TRACES.panels}
    assert {"Spans received", "Spans refused", "Spans waiting", "Spans stored", "Spans lost"} <= told


def test_what_is_drawn_of_jaeger_is_scraped():
    (target,) = TRACES_TARGETS
    (endpoint,) = target.endpoints
    names = {
        name
        for panel in TRACES.panels
        for query in panel.queries
        for name in re.findall(r"[a-z_]{12,}", query.expression)
        if name.startswith(("otelcol_", "jaeger_"))
    }
    assert len(names) == 8
    # As Jaeger 1.76's module, which is Jaeger 2, names them at its port.
    assert [name for name in sorted(names) if not re.fullmatch(endpoint.keep, name)] == []


def test_every_query_can_be_evaluated(tmp_path, promtool):
    queries = [filled(query.expression) for board in EVERY for panel in board.panels for query in panel.queries]
    recorded = [{"record": f"a:b:c{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": recorded}]}))
    answer = promtool(tmp_path, "check", "rules", "--lint=none", "rules.yaml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_recorded_series_are_those_that_are_recorded():
    known = {rule.record for groups in rules(Present()).values() for group in groups for rule in group.recordings}
    used = {
        word
        for board in EVERY
        for panel in board.panels
        for query in panel.queries
        for word in [query.expression.partition("{")[0]]
        if ":" in word and "(" not in word
    }
    assert used
    assert used <= known


def test_nothing_pleases_the_check(board):
    assert "vector(0)" not in json.dumps(emit.emit(board))


def test_grafana_finds_everything_it_needs(board):
    made = emit.emit(board)
    assert (made["uid"], made["title"], made["editable"]) == (board.uid, board.title, False)
    numbers = [panel["id"] for panel in made["panels"]]
    assert len(numbers) == len(set(numbers))
    shown = [panel for panel in made["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in shown] == [panel.title for panel in board.panels]
    for panel in shown:
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert "Moved by" in panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert all(target["expr"] and target["refId"] for target in panel["targets"])
    assert [it["name"] for it in made.get("templating", {}).get("list", [])] == list(board.variables)


def test_panels_do_not_lie_over_each_other(board):
    places = [panel["gridPos"] for panel in emit.emit(board)["panels"]]
    for one, other in itertools.combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


def test_files_are_named_by_uid(tmp_path):
    paths = emit.write(ALL, tmp_path)
    assert [path.name for path in paths] == [f"{board.uid}.json" for board in ALL]
    assert json.loads(paths[0].read_text()) == emit.emit(OVERVIEW)


@pytest.mark.parametrize("change", [{"description": ""}, {"moved_by": ""}, {"queries": ()}, {"title": ""}])
def test_a_panel_that_nobody_could_read_is_refused(change):
    with pytest.raises(ValueError, match="needs a title, a description, a query, and what moves it"):
        replace(PANEL, **change)


def test_an_unknown_variable_a_wrong_uid_and_two_equal_titles_are_refused():
    with pytest.raises(ValueError, match=r"uses \['cluster'\]; there are namespace, service"):
        replace(PANEL, queries=(Query('up{a="$cluster"}', "a"),))
    with pytest.raises(ValueError, match="allowed is slipway-<name>"):
        Dashboard("Overview", "a", "b", (Row("r", (PANEL,)),))
    with pytest.raises(ValueError, match="two panels named A"):
        Dashboard("slipway-a", "a", "b", (Row("r", (PANEL, PANEL)),))


def test_nothing_gets_out_of_a_variable():
    assert filled('a{b="$namespace"}', {**VARIABLES, "namespace": "x"}) == 'a{b="x"}'
    with pytest.raises(ValueError, match="quotes and backslashes are not allowed"):
        filled("$namespace", {**VARIABLES, "namespace": 'x"} or vector(1)'})
