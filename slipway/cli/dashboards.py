"""`slipway dashboards`: the dashboards as files, on the living stores, and without a Grafana or a Kibana."""

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import yaml
from flask import Flask, abort, redirect, request
from werkzeug import Response
from werkzeug.serving import run_simple

from dashboards import render as drawing
from dashboards.grafana import emit
from dashboards.grafana.boards import ALL, boards
from dashboards.grafana.model import VARIABLES, Dashboard
from dashboards.kibana import boards as kibana_boards
from dashboards.kibana import emit as kibana_emit
from dashboards.kibana import send as sending
from dashboards.live import Drawn, Prometheus, drawn
from dashboards.rules.present import Present
from infra.components.metrics import rules
from infra.naming import SERVICE, Namespace
from slipway import reports
from slipway.cli.context import cluster_option, environment_option
from slipway.cli.kube import namespaces, reached
from slipway.cli.log_panels import bars_of_logs
from slipway.cli.measuring import prometheus_of
from slipway.node.kube import Kubectl
from slipway.reports import Bar, Report, derive

FOLDER: Final = Path("build/dashboards")
REFRESH: Final = 15

_minutes = click.option(
    "--minutes", type=click.IntRange(1, 10_080), default=30, show_default=True, help="How far back to look."
)


@click.group("dashboards")
def command() -> None:
    """Build, check, draw and serve the dashboards."""


@command.command("build")
def build() -> None:
    """Write to build/dashboards: Grafana's JSON of each dashboard, Kibana's payloads, the rules of Prometheus."""
    for path in (
        *emit.write(boards(traces=True), FOLDER),
        *kibana_emit.write(kibana_boards.ALL, FOLDER / "kibana"),
        _write_rules(FOLDER / "rules.yaml"),
    ):
        click.echo(path)


@command.command("send")
@click.argument("kibana")
def send(kibana: str) -> None:
    """Put Kibana's data view and dashboards into the KIBANA at this address; what is there of them is replaced.

    An API key, if it asks for one, is read from SLIPWAY_KIBANA_KEY.
    """
    for what in sending.send(kibana, kibana_boards.ALL, os.environ.get("SLIPWAY_KIBANA_KEY")):
        click.echo(what)


@command.command("check")
@cluster_option
@environment_option
@_minutes
def check(cluster: str, environment: str, minutes: int) -> None:
    """Ask the living stores every query of every panel; exits 0 only if none fails or gives nothing.

    Grafana's panels are asked of Prometheus, Kibana's of Elasticsearch, if logs are kept.
    """
    started, begin = datetime.now(UTC), time.monotonic()
    with reached(cluster) as kubectl:
        prometheus, values, end = prometheus_of(kubectl), _values(environment), time.time()
        start, there = end - 60 * minutes, namespaces(kubectl)
        shown = boards(traces=Namespace.TRACES.value in there)
        bars = [bar for board in shown for bar in _bars(board, drawn(board, prometheus, start, end, values))]
        count = len(shown)
        if Namespace.LOGS.value in there:
            bars += bars_of_logs(kubectl, start, end)
            count += len(kibana_boards.ALL)
        else:
            click.echo("no logs are kept: Kibana's panels were not asked")
    dead = [bar for bar in bars if bar.holds is False]
    report = Report(
        name="dashboards-check",
        started=started,
        seconds=time.monotonic() - begin,
        figures={"dashboards": count, "panels": len(bars), "dead panels": len(dead), "minutes": minutes},
        bars=(Bar.at_most("dead panels", len(dead), 0), *bars),
        verdict=derive(bars),
    )
    path = reports.write(report)
    for bar in dead:
        click.echo(f"dead: {bar.what}: {bar.measured}")
    click.echo(f"{len(bars) - len(dead)} of {len(bars)} panels live; {path.with_suffix('.html')}")
    sys.exit(report.verdict.exit_code)


@command.command("render")
@cluster_option
@environment_option
@_minutes
def render(cluster: str, environment: str, minutes: int) -> None:
    """Draw each dashboard to an HTML page and an SVG in build/dashboards, from what the living Prometheus has."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with reached(cluster) as kubectl:
        prometheus, values, end = prometheus_of(kubectl), _values(environment), time.time()
        start, shown = end - 60 * minutes, _shown(kubectl)
        for board in shown:
            found = drawn(board, prometheus, start, end, values)
            path = FOLDER / f"{board.uid}.html"
            path.write_text(drawing.page(board, found, start=start, end=end, others=shown), encoding="utf-8")
            click.echo(path)
            if picture := drawing.picture(found, start):
                path.with_suffix(".svg").write_text(picture, encoding="utf-8")
                click.echo(path.with_suffix(".svg"))


@command.command("serve")
@cluster_option
@environment_option
@click.option("--port", type=click.IntRange(1024, 65535), default=8321, show_default=True, help="On this machine only.")
def serve(cluster: str, environment: str, port: int) -> None:
    """Serve the same pages live to a browser on this machine, until interrupted."""
    with reached(cluster) as kubectl:
        click.echo(f"http://127.0.0.1:{port}/")
        run_simple("127.0.0.1", port, application(prometheus_of(kubectl), environment, _shown(kubectl)), threaded=True)


def application(prometheus: Prometheus, environment: str, shown: Sequence[Dashboard] = ALL) -> Flask:
    """The served pages: `/<uid>?minutes=30`."""
    app = Flask("dashboards", static_folder=None)
    known = {board.uid: board for board in shown}

    @app.get("/")
    def first() -> Response:
        return redirect(f"/{shown[0].uid}")

    @app.get("/<uid>")
    def board(uid: str) -> str:
        if uid not in known:
            abort(404, f"there is no dashboard {uid}; there are {', '.join(known)}")
        minutes = request.args.get("minutes", default=30, type=int)
        end = time.time()
        start = end - 60 * min(max(minutes, 1), drawing.RANGES[-1])
        found = drawn(known[uid], prometheus, start, end, _values(environment))
        return drawing.page(known[uid], found, start=start, end=end, others=shown, ending="", refresh=REFRESH)

    return app


def _write_rules(path: Path) -> Path:
    """All rules as Prometheus reads them from a file, for one that knows no objects."""
    groups = [group.to_manifest() for each in rules(Present()).values() for group in each]
    path.write_text(yaml.safe_dump({"groups": groups}, sort_keys=False), encoding="utf-8")
    return path


def _bars(board: Dashboard, found: Sequence[Drawn]) -> list[Bar]:
    return [
        Bar(
            what=f"{board.title}: {it.panel.title}",
            measured=it.dead or f"{len(it.lines)} lines",
            bar=f"not dead; moved by {it.panel.moved_by}",
            holds=not it.dead,
        )
        for it in found
    ]


def _shown(kubectl: Kubectl) -> tuple[Dashboard, ...]:
    return boards(traces=Namespace.TRACES.value in namespaces(kubectl))


def _values(environment: str) -> dict[str, str]:
    return {**VARIABLES, "namespace": environment, "service": SERVICE}
