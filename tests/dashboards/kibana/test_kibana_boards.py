"""Kibana's dashboards as values, and as the payloads that its interfaces take."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from dashboards.kibana import emit
from dashboards.kibana.boards import ALL, LOGS, REQUESTS
from dashboards.kibana.model import Dashboard, Kind, Measure, Only, Operation, Panel, Split, kql
from slipway.logs.keeper import INDEX, template

FORM = json.loads(Path(__file__).with_name("form.json").read_text())
PANEL = Panel("A", "What it shows.", (Measure("lines"),), "slipway loadtest run crud")
INDEXED = template(0)["template"]["mappings"]["properties"]


@pytest.fixture(params=ALL, ids=lambda it: it.uid)
def board(request):
    return request.param


def validate(body, part):
    schema = {"$ref": f"#/$defs/{part}", "$defs": FORM["$defs"]}
    jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)


def test_every_dashboard_that_is_promised_is_there():
    assert [it.title for it in ALL] == ["Slipway: logs overview", "Slipway: requests"]
    promised = {"Lines by level", "Lines by service", "Errors over time", "Slowest requests", "Rollouts that ended"}
    assert promised <= {panel.title for panel in LOGS.panels}
    assert {"By route", "By status", "Time to the answer"} <= {panel.title for panel in REQUESTS.panels}


def test_payloads_have_kibanas_form(board):
    validate(emit.view(), "view")
    validate(emit.emit(board), "dashboard")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda body: body.pop("title"),
        lambda body: body["panels"][0]["config"].update(datasource={}),
        lambda body: body["panels"][0]["grid"].update(w=49),
        lambda body: body["panels"][0]["config"]["layers"][0]["y"][0].update(operation="mean"),
        lambda body: body["panels"][0]["config"]["layers"][0]["breakdown_by"].update(size=5),
    ],
)
def test_a_payload_of_another_form_is_found(wrong):
    body = emit.emit(LOGS)
    wrong(body)
    with pytest.raises(jsonschema.ValidationError):
        validate(body, "dashboard")


def test_each_panel_reads_the_one_data_view(board):
    view = emit.view()["data_view"]
    assert view["title"] == f"{INDEX}-*"
    for panel in emit.emit(board)["panels"]:
        config = panel["config"]
        sources = [it["data_source"] for it in config.get("layers", [config])]
        assert sources == [{"type": "data_view_reference", "ref_id": view["id"]}]
        assert "Moved by: slipway " in config["description"]
    assert all(it["config"]["data_view_id"] == view["id"] for it in emit.emit(board)["pinned_panels"])


def test_every_field_is_indexed_so_that_it_can_be_asked_for(board):
    for panel in board.panels:
        assert panel.fields <= INDEXED.keys(), panel.title
        assert {INDEXED[it.field]["type"] for it in panel.splits} <= {"keyword", "short"}
        assert {INDEXED[it.field]["type"] for it in panel.measures if it.field} <= {"long"}
    controls = [it["config"]["field_name"] for it in emit.emit(board)["pinned_panels"]]
    assert {INDEXED[it]["type"] for it in controls} == {"keyword"}


def test_panels_lie_on_the_page_and_not_over_each_other(board):
    places = [panel["grid"] for panel in emit.emit(board)["panels"]]
    assert all(it["x"] + it["w"] <= emit.COLUMNS for it in places)
    for one, other in itertools.combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


def test_files_are_named_by_what_is_in_them(tmp_path):
    paths = emit.write(ALL, tmp_path / "kibana")
    names = ["data-view-slipway-logs", "index-template-slipway-logs", "slipway-logs-overview", "slipway-requests"]
    assert [path.name for path in paths] == [f"{name}.json" for name in names]
    assert json.loads(paths[1].read_text()) == template(replicas=0)
    assert json.loads(paths[2].read_text()) == emit.emit(LOGS)


def test_conditions_are_said_in_kibanas_language():
    conditions = [Only("a.b"), Only("c", ("x y", "z")), Only("d", least=500), Only("e", ("f",), others=True)]
    assert kql(conditions) == 'a.b: * and c: ("x y" or "z") and d >= 500 and not e: ("f")'
    assert kql([]) == ""


@pytest.mark.parametrize("value", ['x" or *', "a\\", "a\nb", ""])
def test_nothing_gets_out_of_a_value(value):
    with pytest.raises(ValueError, match="quotes and backslashes are refused"):
        Only("a", (value,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"description": ""}, "needs a title, a description, a measure, and what moves it"),
        ({"measures": ()}, "needs a title"),
        ({"moved_by": ""}, "needs a title"),
        ({"splits": (Split("a"), Split("b"))}, "goes over time and has 2 splits"),
        ({"kind": Kind.TABLE}, "a table without rows"),
        (
            {"splits": (Split("a"),), "measures": (Measure("p", Operation.PERCENTILE, "f", 95),)},
            "orders groups by a percentile",
        ),
    ],
)
def test_a_panel_that_nobody_could_read_or_ask_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PANEL, **change)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Measure("a", Operation.COUNT, "f"),
        lambda: Measure("a", Operation.MAX),
        lambda: Measure("a", Operation.PERCENTILE, "f", 100),
        lambda: Measure("a", Operation.MAX, "f", 5),
        lambda: Measure("a", Operation.MAX, "f", only=(Only("b"),)),
        lambda: Only("a", ("b",), 1),
        lambda: Only("has a name", others=True),
        lambda: Dashboard("logs", "a", "b", (PANEL,)),
        lambda: Dashboard("slipway-a", "a", "b", (PANEL, PANEL)),
    ],
)
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=r"has|allowed is|two panels|a count has no field"):
        wrong()
