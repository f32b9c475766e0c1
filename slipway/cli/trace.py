"""`slipway trace`: one request's way through everything, as Jaeger keeps it."""

import json
import re
import ssl
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import click
import httpx
from rich.table import Table
from rich.text import Text

from infra.naming import JAEGER, JAEGER_QUERY_PORT, Namespace, Project
from slipway.cli.context import Tools, cluster_option
from slipway.cli.forwarding import forwarded
from slipway.cli.kube import kubectl_for
from slipway.cli.progress import Progress
from slipway.cli.screen import console
from slipway.traces.trace import Placed, Trace, UnknownTraceError, bar, parse

_ID: Final = re.compile(r"[0-9a-f]{32}")
_NOT_FOUND: Final = 404
#: Characters of the longest bar.
_WIDTH: Final = 40
#: Seconds between two looks for a trace that is on its way.
_LOOK: Final = 1.0


def _identifier(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not _ID.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is no trace; it has 32 hexadecimal digits: the field `trace.id` of a log line, "
            "or the second part of the header `traceparent`"
        )
    return value


@click.command("trace")
@click.argument("identifier", metavar="ID", callback=_identifier)
@cluster_option
@click.option("--wait", default=0.0, metavar="SECONDS", help="Look until it is there, for so long.")
@click.option("--json", "as_json", is_flag=True, help="Jaeger's own answer.")
def command(identifier: str, *, cluster: str, wait: float, as_json: bool) -> None:
    """Show what happened in one request: each span, how long it took, and what it was inside of."""
    with Progress() as progress, query(Tools(progress), cluster) as client:
        answer = _found(client, identifier, wait)
    try:
        trace = parse(answer)
    except UnknownTraceError as error:
        raise click.ClickException(
            f"there is no trace {identifier}: it was not sampled, is on its way (`--wait 15`), or is too old to be kept"
        ) from error
    if as_json:
        click.echo(json.dumps(answer))
    else:
        console().print(drawn(trace))


def _found(client: httpx.Client, identifier: str, wait: float) -> dict[str, Any]:
    until = time.monotonic() + wait
    while True:
        try:
            answer = client.get(f"/api/traces/{identifier}")
        except httpx.HTTPError as error:
            raise click.ClickException(f"Jaeger does not answer: {error}") from error
        if answer.is_error and answer.status_code != _NOT_FOUND:
            raise click.ClickException(f"Jaeger refuses with {answer.status_code}: {answer.text[:500]}")
        if not answer.is_error or time.monotonic() >= until:
            return answer.json()
        time.sleep(_LOOK)


@contextmanager
def query(tools: Tools, cluster: str) -> Generator[httpx.Client]:
    """Jaeger's answers, through a forwarded port.

    Raises:
        click.ClickException: There is no such cluster, or it keeps no traces.
    """
    outputs = tools.engine.outputs(Project.PLATFORM, cluster)
    if outputs.get("parts", {}).get("traces") != "managed":
        raise click.ClickException(
            f"the cluster {cluster!r} keeps no traces; `slipway-platform:traces: managed` turns them on"
        )
    trusted = ssl.create_default_context(cadata=outputs["caCertificate"])
    with kubectl_for(tools, cluster) as kubectl:
        way = (str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={Namespace.TRACES.value}")
        with (
            forwarded(way, f"service/{JAEGER}", JAEGER_QUERY_PORT, "https") as url,
            httpx.Client(base_url=url, verify=trusted, timeout=30) as client,
        ):
            yield client


def drawn(trace: Trace) -> Table:
    """The spans as a person reads them: a tree, and when each was under way."""
    shown = Table(
        title=f"trace {trace.identifier}, {_length(trace.seconds)}", title_justify="left", box=None, header_style="bold"
    )
    for column in ("service", "what", "", "took", "says"):
        shown.add_column(column, overflow="fold", no_wrap=column in {"", "took"})
    for placed in trace.spans:
        shown.add_row(*_row(placed, trace.seconds))
    return shown


def _row(placed: Placed, whole: float) -> tuple[Text | str, ...]:
    span, (begin, length) = placed.span, bar(placed.span, whole, _WIDTH)
    colour = "red" if span.failed else "cyan"
    says = " ".join(f"{key}={value}" for key, value in span.tags.items())
    return (
        span.service,
        Text("  " * placed.depth + span.name, style="red" if span.failed else ""),
        Text(" " * begin + "█" * length, style=colour),
        _length(span.seconds),
        Text(says, style="dim"),
    )


def _length(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
