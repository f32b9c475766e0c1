"""Puts the data view and the dashboards into a Kibana, by its own interfaces; again and again if need be."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx

from dashboards.kibana.emit import emit, view
from dashboards.kibana.model import Dashboard

_SECONDS: Final = 60.0
_SHOWN: Final = 500


class KibanaError(ValueError):
    """Kibana cannot be reached, or refuses what it is sent; the message has both, and what to do."""


def send(kibana: str, boards: Sequence[Dashboard], key: str | None = None) -> Iterator[str]:
    """Send everything, and tell of each piece that Kibana has taken.

    Args:
        kibana: its address, with the space if it is not the default one (`https://HOST/s/NAME`).
        boards: what is sent besides the data view.
        key: an API key of Kibana's, in its encoded form; None for one that asks for none.

    Raises:
        KibanaError: the rest was not sent; the same call sends all of it again.
    """
    headers = {"kbn-xsrf": "slipway", **({} if key is None else {"Authorization": f"ApiKey {key}"})}
    with httpx.Client(base_url=kibana.rstrip("/"), headers=headers, timeout=_SECONDS) as client:
        _send(client, "POST", "/api/data_views/data_view", view())
        yield "data view"
        for board in boards:
            _send(client, "PUT", f"/api/dashboards/{board.uid}", emit(board))
            yield board.uid


def _send(client: httpx.Client, method: str, path: str, body: dict[str, Any]) -> None:
    try:
        answer = client.request(method, path, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise KibanaError(
            f"Kibana at {client.base_url} does not answer: {error}; allowed: the address of a Kibana of 9.5 or newer"
        ) from error
    if not answer.is_success:
        raise KibanaError(
            f"Kibana answers {answer.status_code} to {method} {path}; it must be 9.5 or newer, and the key one that "
            f"may write dashboards and data views. It says:\n{answer.text[:_SHOWN]}"
        )
