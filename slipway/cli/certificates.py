"""`slipway certificates`: what the platform's authority has signed, and making it anew before it is due."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, final

import click
from rich.table import Table

from infra import tls
from infra.naming import Project
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress
from slipway.cli.screen import console
from slipway.node import cluster as embedded

#: Type of a certificate in Pulumi's state (infra/components/certificates.py).
TYPE: Final = "pulumi-python:dynamic/slipway:GeneratedCertificate"


@final
@dataclass(frozen=True)
class Issued:
    """A certificate of the platform, or of the cluster below it.

    Attributes:
        name: What it is called on the command line.
        urn: What Pulumi calls it; empty if it made none of it.
        hosts: Whom it is for.
        end: When its life ends.
        due: Whether the next `up` makes it anew by itself.
    """

    name: str
    urn: str
    hosts: tuple[str, ...]
    end: datetime
    due: bool


@click.group("certificates")
def command() -> None:
    """List the platform's certificates, or make them anew now."""


@command.command("list")
@cluster_option
@click.option(
    "--of",
    "whose",
    type=click.Choice(["platform", "cluster"]),
    default="platform",
    show_default=True,
    help="Those that the platform made, or those of an embedded cluster's own control plane and nodes.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(cluster: str, whose: str, *, as_json: bool) -> None:
    """Show every certificate, for whom it is, and until when."""
    if whose == "cluster":
        known = own(cluster)
    else:
        with Progress() as progress:
            known = issued(Tools(progress).engine.resources(Project.PLATFORM, cluster), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps([_described(it) for it in known], indent=2))
        return
    table = Table(box=None, header_style="bold")
    for column in ("certificate", "for", "until", ""):
        table.add_column(column)
    for it in known:
        note = "the next `up` renews it" if it.due else ""
        table.add_row(it.name, ", ".join(it.hosts), it.end.isoformat(" ", "minutes"), note)
    console().print(table)


@command.command("rotate")
@click.argument("names", nargs=-1)
@cluster_option
def rotate(names: tuple[str, ...], cluster: str) -> None:
    """Make the certificates NAMES anew, or all of them, with new keys; the authority stays.

    HAProxy, Postgres and Redis for state take theirs over while they serve. Parts that read theirs once (Elasticsearch,
    Jaeger, the cache of Redis, the store of backups and the backup plug-in) get new pods.
    """
    with Progress() as progress:
        made = renew(Tools(progress), cluster, names, progress)
    click.echo(f"made anew: {', '.join(made)}")


def issued(resources: Iterable[Mapping[str, Any]], now: datetime) -> list[Issued]:
    """The certificates of a platform's state, by name.

    Args:
        resources: All that the state holds.
        now: The time, with a time zone.
    """
    found = [
        Issued(
            str(it["urn"]).rpartition("::")[2],
            it["urn"],
            tuple(it["outputs"]["dns_names"]),
            tls.end(it["outputs"]["certificate"]),
            tls.due(it["outputs"]["certificate"], now),
        )
        for it in resources
        if it["type"] == TYPE and not it.get("delete")
    ]
    return sorted(found, key=lambda it: it.name)


def own(cluster: str) -> list[Issued]:
    """The certificates of an embedded cluster's own; no command but `up` makes them anew.

    Raises:
        NodeError: There is no embedded cluster of that name on this machine.
    """
    found = embedded.certificates(embedded.load(cluster))
    return [Issued(it.name, "", it.hosts, it.end, it.due) for it in found]


def chosen(known: list[Issued], names: Collection[str]) -> list[Issued]:
    """The certificates of these names; all without one.

    Raises:
        click.ClickException: There is none of a name, or none at all.
    """
    if not known:
        raise click.ClickException("this cluster has no platform with certificates; `slipway up` makes it")
    unknown = sorted(set(names) - {it.name for it in known})
    if unknown:
        raise click.ClickException(
            f"there is no certificate {', '.join(unknown)}; there are: {', '.join(it.name for it in known)}"
        )
    return [it for it in known if not names or it.name in names]


def renew(tools: Tools, cluster: str, names: Collection[str], progress: Progress) -> list[str]:
    """Bring the platform up with the certificates of these names made anew, or all; tells their names.

    Raises:
        click.ClickException: There is none of a name, or none at all.
        EngineError: It could not be brought up.
    """
    wanted = chosen(issued(tools.engine.resources(Project.PLATFORM, cluster), datetime.now(UTC)), names)
    tools.kubernetes_plugin()
    progress.step(f"new certificates: {', '.join(it.name for it in wanted)}")
    tools.engine.up(Project.PLATFORM, cluster, {}, progress.engine_event, anew=[it.urn for it in wanted])
    return [it.name for it in wanted]


def _described(it: Issued) -> dict[str, Any]:
    return {"name": it.name, "hosts": list(it.hosts), "until": it.end.isoformat(), "due": it.due}
