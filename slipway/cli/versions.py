"""Requests, errors and latency of both versions in the time of a rollout, for its report."""

import json
from collections.abc import Mapping
from typing import Final

from dashboards import render
from dashboards.grafana.boards import VERSIONS
from dashboards.grafana.model import filled
from dashboards.live import Prometheus, asked, range_path
from infra.naming import PROMETHEUS, PROMETHEUS_PORT, Namespace
from slipway.reports import Section
from slipway.reports.plots import Plot, draw
from slipway.rollout.api import CORE, Api, Refused, path_of
from slipway.rollout.client import Client
from slipway.rollout.loop import Unavailable
from slipway.rollout.story import Recording

_TITLE: Final = "Version against version"
_WHERE: Final = path_of(CORE, Namespace.MONITORING.value, "services", f"{PROMETHEUS}:{PROMETHEUS_PORT}", "proxy/api/v1")


async def section(api: Api, client: Client, recording: Recording) -> Section:
    """The plots, from what HAProxy counted; or why there are none.

    Args:
        api: a connection of whoever follows, who may not be allowed to ask Prometheus.
        client: of the Rollout.
        recording: tells the time that is drawn.
    """
    start, end = recording.moments[0].at, recording.moments[-1].at
    values = {"namespace": client.namespace, "service": recording.moments[-1].rollout.spec.service}
    try:
        answers = await _answers(api, start, end, values)
    except (Refused, Unavailable) as error:
        return Section(_TITLE, "", f"Not drawn: Prometheus could not be asked ({error}).")
    found = [asked(panel, Prometheus(answers.__getitem__), start, end, values) for panel in VERSIONS]
    if not any(it.lines for it in found):
        return Section(_TITLE, "", "Not drawn: nothing was measured in that time.")
    plot = Plot([render.axes(it, start, 1.0) for it in found])
    return Section(_TITLE, draw(plot), "What HAProxy counted, read from Prometheus.")


async def _answers(api: Api, start: float, end: float, values: Mapping[str, str]) -> dict[str, str]:
    """The answer to each question of the panels, by path."""
    expressions = [filled(query.expression, values) for panel in VERSIONS for query in panel.queries]
    found: dict[str, str] = {}
    for path in (range_path(expression, start, end) for expression in expressions):
        answer = await api.get(f"{_WHERE}/{path}")
        if answer is None:
            raise Unavailable(f"there is no Service {PROMETHEUS} in {Namespace.MONITORING.value}")
        found[path] = json.dumps(answer)
    return found
