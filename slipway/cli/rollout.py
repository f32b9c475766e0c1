"""`slipway rollout`: ask for a version, and see how it goes. The controller in the cluster does the rest."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table

from slipway.cli.context import cluster_option, environment_option, service_option
from slipway.cli.following import Where, follow, promoted_or_back, run, taken_back
from slipway.cli.screen import console
from slipway.node.cluster import load
from slipway.rollout.api import Api
from slipway.rollout.client import Client, ExitCode, UsageError, Wish, digest_of
from slipway.rollout.spec import Commit

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("rollout")
def command() -> None:
    """Ask for a version of the service, and see how it goes.

    Exit codes of `start --wait` and `watch`: 0 promoted, 1 rolled back, 2 wrong usage, 3 paused, 4 unreachable.
    """


def _target(decorated: Command) -> Command:
    options = (
        cluster_option,
        environment_option,
        service_option,
        click.option(
            "--kubeconfig",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="How the cluster is reached; else $KUBECONFIG, else an embedded cluster's administrator.",
        ),
    )
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _where(cluster: str, environment: str, service: str, kubeconfig: Path | None) -> Where:
    if kubeconfig is None and not os.environ.get("KUBECONFIG"):
        kubeconfig = load(cluster).home / "admin.kubeconfig"
    return Where(environment, service, kubeconfig)


def _commit(name: str) -> Commit:
    """A commit of the repository in the present folder.

    Raises:
        click.UsageError: There is none of this name.
    """
    command = ["git", "show", "--no-patch", "--format=%H %ct", "--end-of-options", f"{name}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise click.UsageError(
            f"--commit {name!r}: git in {Path.cwd()} knows no such commit ({done.stderr.strip()}); run it in the "
            "service's repository, or leave it out"
        )
    found, seconds = done.stdout.split()
    return Commit(id=found, time=float(seconds))


_json = click.option("--json", "as_json", is_flag=True, help="A line of JSON for each change.")
_wait = click.option("--wait", is_flag=True, help="Follow it to its end.")
_reason = click.option("--reason", default="", help="Why, for the record.")


@command.command("start")
@click.option("--image", required=True, help="The wanted image, by digest: NAME@sha256:...")
@click.option("--attach", is_flag=True, help="If it is wanted already, ask for nothing and only see how it goes.")
@click.option("--commit", help="What it was built from, as git here knows it: for the time from commit to promotion.")
@_wait
@_json
@_target
def start(*, image: str, attach: bool, commit: str | None, wait: bool, as_json: bool, **target: Any) -> None:
    """Ask for an image. A version that was refused before gets another attempt, except with --attach."""
    built = None if commit is None else _commit(commit)

    async def work(client: Client, api: Api) -> ExitCode:
        wish = await client.start(image, attach=attach, commit=built)
        if not wait:
            click.echo(f"{image} is wanted; `slipway rollout watch` shows how it goes")
            return ExitCode.PROMOTED
        ended = promoted_or_back(image, wish)
        return await follow(client, api, ended, as_json=as_json, record=image)

    run(_where(**target), work)


@command.command("status")
@_json
@_target
def status(*, as_json: bool, **target: Any) -> None:
    """Show where the rollout stands now."""

    async def work(client: Client, api: Api) -> ExitCode:
        return await follow(client, api, lambda _rollout: ExitCode.PROMOTED, as_json=as_json)

    run(_where(**target), work)


@command.command("watch")
@_json
@_target
def watch(*, as_json: bool, **target: Any) -> None:
    """Follow the wanted version to its end; may be ended and called again at any time."""

    async def work(client: Client, api: Api) -> ExitCode:
        now = await client.status()
        ended = promoted_or_back(now.spec.image, Wish(now.generation))
        return await follow(client, api, ended, as_json=as_json, record=now.spec.image)

    run(_where(**target), work)


@command.command("approve")
@click.option("--gate", help="Which approval, as `status` shows it; the one that is waited for if left out.")
@_reason
@_target
def approve(*, gate: str | None, reason: str, **target: Any) -> None:
    """Let the rollout go on where it waits for a person."""

    async def work(client: Client, _api: Api) -> ExitCode:
        click.echo(f"approved {await client.approve(gate, reason=reason)}")
        return ExitCode.PROMOTED

    run(_where(**target), work)


@command.command("abort")
@_reason
@_wait
@_json
@_target
def abort(*, reason: str, wait: bool, as_json: bool, **target: Any) -> None:
    """Take back the version under test. With --wait, 0 means that every HAProxy has confirmed it."""

    async def work(client: Client, api: Api) -> ExitCode:
        revision = await client.abort(reason=reason)
        click.echo(f"revision {revision} is taken back", err=as_json)
        return await follow(client, api, taken_back(revision), as_json=as_json) if wait else ExitCode.PROMOTED

    run(_where(**target), work)


@command.command("rollback")
@_reason
@_wait
@_json
@_target
def rollback(*, reason: str, wait: bool, as_json: bool, **target: Any) -> None:
    """Take back the promoted version while the old one is warm. With --wait, 0 means that it is done."""

    async def work(client: Client, api: Api) -> ExitCode:
        revision = await client.rollback(reason=reason)
        click.echo(f"revision {revision} is taken back", err=as_json)
        return await follow(client, api, taken_back(revision), as_json=as_json) if wait else ExitCode.PROMOTED

    run(_where(**target), work)


@command.command("last-good")
@click.option("--expect", metavar="IMAGE", help="Exit with 1 unless the last good version has this image's digest.")
@_target
def last_good(*, expect: str | None, **target: Any) -> None:
    """Print the image that was promoted last and not taken back."""

    async def work(client: Client, _api: Api) -> ExitCode:
        wanted = None if expect is None else digest_of(expect)
        status = (await client.status()).status
        if not status.last_good_digest:
            raise UsageError(f"no version of {client.name} in {client.namespace} has been promoted yet")
        click.echo(status.last_good_image)
        if wanted in {None, status.last_good_digest}:
            return ExitCode.PROMOTED
        click.secho(
            f"error: {client.namespace} has {status.last_good_digest} as its last good version, not {wanted}; "
            "promote that one there first",
            fg="red",
            err=True,
        )
        return ExitCode.ROLLED_BACK

    run(_where(**target), work)


@command.command("history")
@_target
def history(**target: Any) -> None:
    """List the versions that were tried, and how each ended."""

    async def work(client: Client, _api: Api) -> ExitCode:
        table = Table(box=None, header_style="bold")
        for column in ("number", "revision", "result", "seconds", "image"):
            table.add_column(column)
        for line in (await client.status()).status.history:
            seconds = f"{line.finished - line.started:.0f}"
            table.add_row(str(line.number), line.revision, line.result, seconds, line.image)
        console().print(table)
        return ExitCode.PROMOTED

    run(_where(**target), work)
