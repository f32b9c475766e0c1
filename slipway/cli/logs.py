"""`slipway logs`: what pods printed, as Elasticsearch keeps it."""

import base64
import json
import ssl
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import click
import httpx
from rich.text import Text

from infra.naming import ELASTICSEARCH, ELASTICSEARCH_PORT, LOG_READER_SECRET, Environment, Namespace
from slipway.cli.context import cluster_option
from slipway.cli.forwarding import forwarded
from slipway.cli.kube import reached
from slipway.cli.screen import console
from slipway.logs.query import LEVELS, SEARCH, Line, Wanted, lines, search
from slipway.node.kube import Kubectl

#: Seconds between two looks, and how far each looks back: lines of different nodes come in a different order.
_LOOK: Final = 1.0
_BACK: Final = 60.0
_AT_ONCE: Final = 1000
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHORT: Final = {"warning": "warn", "critical": "fatal"}
_COLOURS: Final = {"warn": "yellow", "warning": "yellow", "error": "red", "critical": "bold red", "fatal": "bold red"}


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    number, unit = value[:-1], value[-1:]
    if not number.isdecimal() or unit not in _UNITS:
        raise click.BadParameter(f"{value!r} is no length of time; write a number and s, m, h or d, such as 15m")
    return int(number) * _UNITS[unit]


@click.command("logs")
@cluster_option
@click.option("--namespace", default=Environment.DEV.value, show_default=True, help="Of the pods; `all` for every one.")
@click.option("--service", default="", help="What the line says it is of, or the container's name.")
@click.option("--pod", default="", help="Begin of the pod's name.")
@click.option("--level", type=click.Choice(LEVELS), help="This level and those above.")
@click.option("--request", default="", metavar="ID", help="Lines of one request (http.request.id), of every service.")
@click.option("--trace", default="", metavar="ID", help="Lines of one trace (trace.id), of every service.")
@click.option("--grep", default="", metavar="WORDS", help="Words that the message has in this order.")
@click.option("--format", "form", type=click.Choice(["ecs", "text"]), help="Structured lines, or all others.")
@click.option("--since", default="15m", show_default=True, callback=_seconds, help="How far back.")
@click.option("--lines", "count", type=click.IntRange(1, _AT_ONCE), default=100, show_default=True, help="At most.")
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="All fields, one object a line.")
def command(
    *,
    cluster: str,
    namespace: str,
    service: str,
    pod: str,
    level: str | None,
    request: str,
    trace: str,
    grep: str,
    form: str | None,
    since: float,
    count: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what pods printed, oldest first: the newest lines that match."""
    anywhere = namespace == "all" or request or trace
    wanted = Wanted("" if anywhere else namespace, service, pod, level or "", request, trace, grep, form or "")
    show = _as_json if as_json else _Screen()
    with store(cluster) as client:
        found = _ask(client, search(wanted, since=time.time() - since, lines=count))
        for line in found:
            show(line)
        if follow:
            _follow(lambda start: _ask(client, search(wanted, since=start, lines=_AT_ONCE)), found, show)
        elif not found:
            click.echo("no line matches; see --since, --namespace and `slipway logs --help`", err=True)


@contextmanager
def store(cluster: str) -> Generator[httpx.Client]:
    """Elasticsearch of a cluster by its name.

    Raises:
        click.ClickException: There is no such cluster.
        NodeError: It keeps no logs.
    """
    with reached(cluster) as kubectl, reader(kubectl) as client:
        yield client


@contextmanager
def reader(kubectl: Kubectl) -> Generator[httpx.Client]:
    """Elasticsearch as the user who may only read, through a forwarded port.

    Raises:
        NodeError: The cluster keeps no logs.
    """
    where = f"--namespace={Namespace.LOGS.value}"
    secret = json.loads(kubectl(where, "get", "secret", LOG_READER_SECRET, "--output=json"))["data"]
    trusted = ssl.create_default_context(cadata=base64.b64decode(secret["ca.crt"]).decode())
    access = ("reader", base64.b64decode(secret["password"]).decode())
    way = (str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", where)
    with (
        forwarded(way, f"service/{ELASTICSEARCH}", ELASTICSEARCH_PORT, "https") as url,
        httpx.Client(base_url=url, auth=access, verify=trusted, timeout=30) as client,
    ):
        yield client


def _ask(client: httpx.Client, body: dict[str, Any]) -> list[Line]:
    try:
        answer = client.post(SEARCH, json=body)
    except httpx.HTTPError as error:
        raise click.ClickException(f"Elasticsearch does not answer: {error}") from error
    if answer.is_error:
        raise click.ClickException(f"Elasticsearch refuses with {answer.status_code}: {answer.text[:500]}")
    return lines(answer.json())


def _follow(ask: Callable[[float], list[Line]], shown: list[Line], show: Callable[[Line], None]) -> None:
    """Show each line once, until interrupted."""
    started = time.time()
    # Twice what a look can find: a line leaves it only when no look finds it any more.
    known = deque((it.identifier for it in shown), maxlen=20 * _AT_ONCE)
    while True:
        time.sleep(_LOOK)
        for line in ask(max(started, time.time() - _BACK)):
            if line.identifier not in known:
                known.append(line.identifier)
                show(line)


def _as_json(line: Line) -> None:
    click.echo(json.dumps(line.fields))


class _Screen:
    """A line of the terminal for each line, its level by colour."""

    def __init__(self) -> None:
        self._console = console()

    def __call__(self, line: Line) -> None:
        text = Text(no_wrap=False)
        text.append(f"{line.at} ", "dim")
        text.append(f"{_SHORT.get(line.level, line.level):<5} ", _COLOURS.get(line.level, ""))
        text.append(f"{line.source} ", "cyan")
        text.append(line.message)
        text.append("".join(f" {name}={value}" for name, value in line.others.items()), "dim")
        self._console.print(text, soft_wrap=True)
