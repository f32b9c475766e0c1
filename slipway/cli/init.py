"""`slipway init`: the files with which a service that is not ours is released on the platform."""

import re
import subprocess
from pathlib import Path
from typing import Final

import click

from infra.components.any_service import NAME_LIMIT
from infra.engine import REPOSITORY
from infra.naming import Project, cluster_name, dns_label
from slipway.cli.context import cluster_option
from slipway.scaffold import project

_TOOL: Final = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})")
_ORIGIN: Final = re.compile(r"github\.com[:/](?P<repository>[\w.-]+/[\w.-]+?)(\.git)?/?$")
_PATH: Final = re.compile(r"/[\w./~-]*")


@click.command("init")
@click.argument("name")
@cluster_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="here",
    help="The service's repository.",
)
@click.option(
    "--tool",
    metavar="OWNER/NAME@COMMIT",
    help="Where workflows find Slipway. [default: this checkout's origin on GitHub, at its commit]",
)
@click.option("--port", type=click.IntRange(1024, 65535), default=8080, show_default=True, help="Of the container.")
@click.option("--live", default="/livez", show_default=True, help="Path of the liveness probe.")
@click.option("--ready", default="/readyz", show_default=True, help="Path of the readiness probe.")
def command(*, name: str, cluster: str, folder: Path, tool: str | None, port: int, live: str, ready: str) -> None:
    """Write settings, workflows and stacks of the service NAME; overwrites nothing (docs/how-to/first-canary.md)."""
    _check(name, cluster, live, ready)
    repository, commit = _tool(tool)
    sources = {it: (REPOSITORY / ".github" / it).read_text(encoding="utf-8") for it in project.SOURCES}
    try:
        made = project.files(project.Plan(name, cluster, repository, commit, port, live, ready), sources)
    except project.ScaffoldError as error:
        raise click.ClickException(str(error)) from error
    there = [path for path in made if (folder / path).exists() or (folder / path).is_symlink()]
    if there:
        raise click.ClickException(
            f"{folder.resolve()} has {', '.join(there)} already; nothing was written. Move them away, or take another "
            "--folder"
        )
    for path, text in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
    click.echo(_NEXT.format(name=name, cluster=cluster))


_NEXT: Final = """
Next:
  1. Read deploy/values.yaml: port, probes, resources, steps of a canary.
  2. slipway image publish {name} . --registry HOST/PATH        builds the Dockerfile here, prints the image by digest
  3. slipway check-service IMAGE                                tries the service contract on it
  4. eval "$(slipway env)" && cd deploy && pulumi stack select --create {cluster}-staging
     pulumi config set image IMAGE && pulumi up                 the first version serves
  5. slipway rollout start --service {name} --environment staging --image IMAGE --wait      the first canary
  6. Variables and secrets of the workflows: docs/how-to/ci.md of Slipway.
All of it, told slowly: docs/how-to/first-canary.md of Slipway."""


def _check(name: str, cluster: str, live: str, ready: str) -> None:
    try:
        dns_label("the service's name", name, limit=NAME_LIMIT)
        cluster_name(cluster)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if name in list(Project):
        raise click.UsageError(f"the service's name {name!r} is that of a project of Slipway; take another")
    for option, path in (("--live", live), ("--ready", ready)):
        if not _PATH.fullmatch(path):
            raise click.UsageError(f"{option} {path!r}: allowed is a path, such as /healthz")


def _tool(given: str | None) -> tuple[str, str]:
    """Repository and commit of Slipway, as told or as this checkout knows them."""
    if given is not None:
        found = _TOOL.fullmatch(given)
        if found is None:
            raise click.UsageError(
                f"--tool {given!r}: allowed is OWNER/NAME@ and the 40 hexadecimal digits of a commit"
            )
        return found["repository"], found["commit"]
    origin, commit = _git("remote", "get-url", "origin"), _git("rev-parse", "HEAD")
    found = _ORIGIN.search(origin)
    if found is None or not commit:
        raise click.UsageError(
            f"this checkout's origin is {origin or 'not set'!r}, which names no repository on GitHub: tell by --tool "
            "OWNER/NAME@COMMIT where workflows find Slipway"
        )
    return found["repository"], commit


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
