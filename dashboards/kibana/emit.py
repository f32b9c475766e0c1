"""From our model to what Kibana's interfaces take: the Data Views API, and the Dashboards API of Kibana 9.5.

The form: https://www.elastic.co/docs/api/doc/kibana/group/endpoint-dashboards. Panels stand in their dashboard by
value: one that is kept apart is lost without a word if a reference to it is missing.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dashboards.kibana.model import Dashboard, Kind, Measure, Operation, Panel, Split, kql
from slipway.logs.keeper import INDEX, template

VIEW: Final = INDEX
TIME: Final = "@timestamp"
COLUMNS: Final = 48  # of Kibana's page
_HEIGHTS: Final = {Kind.LINES: 10, Kind.BARS: 10, Kind.TABLE: 12}
_SOURCE: Final = {"type": "data_view_reference", "ref_id": VIEW}
_DURATION: Final = {"type": "duration", "from": "ns", "to": "auto"}
#: What a reader may narrow a whole dashboard to.
_CONTROLS: Final = {"Namespace": "kubernetes.namespace", "Service": "service.name", "Level": "log.level"}


def view() -> dict[str, Any]:
    """The data view, for `POST /api/data_views/data_view`."""
    named = {"id": VIEW, "title": f"{INDEX}-*", "name": "Slipway: logs", "timeFieldName": TIME}
    return {"data_view": named, "override": True}


def emit(board: Dashboard) -> dict[str, Any]:
    """One dashboard, for `PUT /api/dashboards/<uid>`."""
    return {
        "title": board.title,
        "description": board.description,
        "time_range": {"from": "now-30m", "to": "now"},
        "pinned_panels": [
            {
                "type": "options_list_control",
                "width": "medium",
                "grow": True,
                "config": {"title": title, "data_view_id": VIEW, "field_name": field},
            }
            for title, field in _CONTROLS.items()
        ],
        "panels": _placed(board.panels),
    }


def write(boards: Sequence[Dashboard], folder: Path) -> list[Path]:
    """A file for the data view, one for each dashboard, named by its uid, and the template of indices they look at.

    The last one is what the platform's store has already, for an Elasticsearch that lines were copied to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bodies = {
        f"data-view-{VIEW}": view(),
        f"index-template-{INDEX}": template(replicas=0),
        **{board.uid: emit(board) for board in boards},
    }
    paths: list[Path] = []
    for name, body in bodies.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(body, indent=2, sort_keys=True) + "\n")
        paths.append(path)
    return paths


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels from left to right, a new row where one has no room any more."""
    placed: list[dict[str, Any]] = []
    x = y = row = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, row = 0, y + row, 0
        height = _HEIGHTS[panel.kind]
        grid = {"x": x, "y": y, "w": panel.width, "h": height}
        placed.append({"type": "vis", "grid": grid, "config": _config(panel)})
        x, row = x + panel.width, max(row, height)
    return placed


def _config(panel: Panel) -> dict[str, Any]:
    config: dict[str, Any] = {
        "title": panel.title,
        "description": f"{panel.description} Moved by: {panel.moved_by}.",
        "query": {"language": "kql", "expression": kql(panel.only)},
    }
    measures = [_measure(it) for it in panel.measures]
    groups = [_group(it) for it in panel.splits]
    if not panel.over_time:
        return config | {"type": panel.kind.value, "data_source": _SOURCE, "metrics": measures, "rows": groups}
    layer: dict[str, Any] = {
        "type": panel.kind.value,
        "data_source": _SOURCE,
        "x": {"operation": "date_histogram", "field": TIME},
        "y": measures,
    }
    if groups:
        layer["breakdown_by"] = groups[0]
    several = bool(groups) or len(measures) > 1
    return config | {
        "type": "xy",
        "layers": [layer],
        "axis": {"x": {"scale": "temporal", "title": {"visible": False}}},
        "legend": {"visibility": "visible" if several else "hidden", "position": "bottom"},
    }


def _measure(measure: Measure) -> dict[str, Any]:
    made: dict[str, Any] = {"operation": measure.operation.value, "label": measure.label}
    if measure.field:
        made |= {"field": measure.field, "format": _DURATION}
    if measure.operation is Operation.PERCENTILE:
        made["percentile"] = measure.percentile
    if measure.only:
        made["filter"] = {"language": "kql", "expression": kql(measure.only)}
    return made


def _group(split: Split) -> dict[str, Any]:
    rank = {"type": "metric", "metric_index": 0, "direction": "desc"}
    return {"operation": "terms", "fields": [split.field], "limit": split.limit, "rank_by": rank}
