"""Kibana's panels on the Elasticsearch of a cluster, as bars of a report."""

from collections.abc import Mapping
from typing import Any

import httpx

from dashboards.kibana.boards import ALL
from dashboards.kibana.live import ElasticsearchError, Search, asked
from slipway.cli.logs import reader
from slipway.logs.query import SEARCH
from slipway.node.kube import Kubectl
from slipway.reports import Bar


def bars_of_logs(kubectl: Kubectl, start: float, end: float) -> list[Bar]:
    """A bar for each of Kibana's panels.

    Args:
        kubectl: Of a cluster that keeps logs.
        start: Unix time of the oldest line that is looked at.
        end: Unix time of the newest one.

    Raises:
        NodeError: there is no way to its Elasticsearch.
    """
    with reader(kubectl) as client:
        search = search_of(client)
        found = [(board, asked(panel, search, start, end)) for board in ALL for panel in board.panels]
    return [
        Bar(
            what=f"{board.title}: {it.panel.title}",
            measured=it.dead or f"{it.numbers} numbers",
            bar=f"not dead; moved by {it.panel.moved_by}",
            holds=not it.dead,
        )
        for board, it in found
    ]


def search_of(client: httpx.Client) -> Search:
    """Asks all logs of an Elasticsearch."""

    def search(body: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            answer = client.post(SEARCH, json=body)
        except httpx.HTTPError as error:
            raise ElasticsearchError(f"Elasticsearch does not answer: {error}") from error
        if answer.is_error:
            raise ElasticsearchError(f"Elasticsearch refuses with {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    return search
