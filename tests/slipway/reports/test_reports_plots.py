import re
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import pytest

from slipway.reports.plots import VERSIONS, Line, Panel, Plot, Span, draw

PLOT = Plot(
    [
        Panel(
            "Rate",
            "requests/s",
            [Line("good", [0, 1, 2], [5, None, 7], filled=True), Line("failed", [0, 1, 2], [0, 1, 0])],
        ),
        Panel(
            "Status",
            "requests/s",
            [Line("200", [0, 1, 2], [1, 2, None]), Line("503", [0, 1, 2], [1, 2, 3])],
            stacked=True,
        ),
    ],
    [Span("node lost", 1, 2), Span("promoted", 2, 2)],
)


def test_a_plot_is_one_svg_in_the_ink_of_the_page():
    svg = draw(PLOT)
    root = ET.fromstring(svg.replace("xlink:", ""))  # noqa: S314 -- our own text
    assert root.tag.endswith("svg")
    assert "viewBox" in root.attrib
    assert "width" not in root.attrib
    assert "currentColor" in svg
    assert "#010203" not in svg
    for word in ("Rate", "good", "failed", "503", "node lost", "promoted", "seconds"):
        assert word in svg


def test_every_id_is_pointed_to():
    svg = draw(PLOT)
    for name in re.findall(r' id="([^"]+)"', svg):
        assert f"#{name}" in svg


def test_the_same_values_draw_the_same_text():
    assert draw(PLOT) == draw(PLOT)


def test_drawing_leaves_the_settings_of_the_process_and_may_run_side_by_side():
    before = dict(mpl.rcParams)
    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(draw, [PLOT] * 3))) == 1
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("plot", [Plot([]), Plot([Panel("x", "y", [Line("l", [1, 2], [1])])])])
def test_what_cannot_be_drawn_is_refused(plot):
    with pytest.raises(ValueError, match=r"panel|has 2 x and 1 y"):
        draw(plot)


def test_a_panel_without_lines_and_a_single_point_can_be_drawn():
    assert "<svg" in draw(Plot([Panel("none", "y", []), Panel("one", "y", [Line("l", [1], [1])])]))


def test_no_line_takes_a_colour_that_another_one_names_and_two_of_one_colour_differ():
    blue = VERSIONS["blue"]
    lines = [
        Line(name, [0, 1], [1, 2], colour) for name, colour in (("a", None), ("b", blue), ("c", blue), ("d", None))
    ]
    root = ET.fromstring(draw(Plot([Panel("p", "", lines)])).replace("xlink:", ""))  # noqa: S314 -- our own text
    styles = [
        it.get("style", "")
        for it in root.iter()
        if blue in it.get("style", "") and "stroke-width: 1.5" in it.get("style", "")
    ]
    in_plot = set(styles)
    assert len(in_plot) == 2, "one is drawn through, one is dashed"
    assert sum("dasharray" in it for it in in_plot) == 1
    assert len(styles) == 4, "each once in the plot and once in the legend"


def names_in(svg, labels):
    return [
        label for label in labels if f"> {label}<" in svg.replace("&#160;", " ").replace("\xa0", " ") or label in svg
    ]


def test_names_that_find_no_room_are_left_out_and_far_ones_stand():
    panel = Panel("Requests", "per second", [Line("all", [0.0, 400.0], [50.0, 50.0])])
    close = [f"something long that happened, number {number}" for number in range(5)]
    spans = [Span(label, 5.0 + number, 5.0 + number) for number, label in enumerate(close)]
    svg = draw(Plot([panel], [*spans, Span("much later", 300.0, 300.0)]))
    assert names_in(svg, close) == close[:3]
    assert names_in(svg, ["much later"]) == ["much later"]
