"""From our model to the JSON that Grafana reads, by Grafana's own builders."""

import itertools
import json
import string
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from dashboards.grafana.model import Dashboard, Kind, Panel

_HEIGHT: Final = 8
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
#: Where a variable's values come from.
_VALUES: Final = {
    "namespace": "label_values(slipway_rollout_phase, namespace)",
    "service": 'label_values(slipway_rollout_phase{namespace="$namespace"}, rollout)',
}


def emit(board: Dashboard) -> dict[str, Any]:
    """One dashboard as Grafana reads it."""
    builder = (
        grafana.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["slipway"])
        .readonly()
        .refresh("10s")
        .time("now-30m", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    for name in board.variables:
        builder = builder.with_variable(
            grafana.QueryVariable(name)
            .datasource(_SOURCE)
            .query(_VALUES[name])
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    numbers = itertools.count(1)
    for row in board.rows:
        builder = builder.with_row(grafana.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel, next(numbers)))
    return json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))


def write(boards: tuple[Dashboard, ...], folder: Path) -> list[Path]:
    """A file for each dashboard, named by its uid."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for board in boards:
        path = folder / f"{board.uid}.json"
        path.write_text(json.dumps(emit(board), indent=2, sort_keys=True) + "\n")
        paths.append(path)
    return paths


def _panel(panel: Panel, number: int) -> timeseries.Panel | stat.Panel:
    made: timeseries.Panel | stat.Panel = stat.Panel() if panel.kind is Kind.NUMBER else timeseries.Panel()
    description = f"{panel.description} Moved by: `{panel.moved_by}`."
    made = made.id(number).title(panel.title).description(description).unit(panel.unit.value).datasource(_SOURCE)
    made = made.height(_HEIGHT).span(panel.width).thresholds(_thresholds(panel.limit))
    if isinstance(made, timeseries.Panel):
        made = made.fill_opacity(8).line_width(1).show_points(VisibilityMode.NEVER)
        made = made.legend(VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST))
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        made = made.with_target(
            prometheus.Dataquery().ref_id(letter).expr(query.expression).legend_format(query.legend)
        )
    return made


def _thresholds(limit: float | None) -> grafana.ThresholdsConfig:
    steps = [Threshold(value=None, color="green")]
    if limit is not None:
        steps.append(Threshold(value=limit, color="red"))
    return grafana.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
