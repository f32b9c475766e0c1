"""`slipway audit`: lists of what the images and the tool are made of, and what is known against it."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from infra.engine import REPOSITORY
from slipway import provenance, reports, supply
from slipway.cli import contents, signing
from slipway.provenance import Built, ProvenanceError
from slipway.rollout.client import UsageError

EXCEPTIONS: Final = REPOSITORY / ".github" / "vulnerabilities.yml"
_PATIENCE: Final = 300  # seconds for each call of uv
_ANSWERED: Final = {0, 1}  # uv: nothing found, something found; else it could not ask

uv_option = click.option(
    "--uv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="UV",
    required=True,
    help="uv's program; `make` sets it.",
)


@click.group("audit")
def command() -> None:
    """List what we are made of, and judge what is known against it."""


for _it in (contents.image, contents.sign, contents.verify):
    command.add_command(_it)


@command.command("sbom")
@uv_option
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="build/sbom", show_default=True)
def sbom(uv: Path, output: Path) -> None:
    """Write a CycloneDX list of packages, with versions and hashes from the lock, for each image and the tool."""
    output.mkdir(parents=True, exist_ok=True)
    for name, selection in supply.LISTS.items():
        made = _uv(uv, "export", "--frozen", "--format=cyclonedx1.5", "--preview-features=sbom-export", *selection)
        if made.returncode != 0:
            raise click.ClickException(f"uv could not list what {name} is made of: {made.stderr.strip()[-500:]}")
        path = output / f"{name}.cdx.json"
        path.write_text(made.stdout, encoding="utf-8")
        click.echo(str(path))


@command.command("vulnerabilities")
@uv_option
@click.option("--service-url", help="Where to ask instead of osv.dev; anything that speaks OSV.")
@click.option(
    "--exceptions", type=click.Path(dir_okay=False, path_type=Path), default=EXCEPTIONS, help="What we live with."
)
def vulnerabilities(uv: Path, service_url: str | None, exceptions: Path) -> None:
    """Ask what is known against every locked Python package; exits 1 if something is that no exception covers."""
    started = dt.datetime.now(dt.UTC)
    accepted = supply.read_exceptions(exceptions)
    asked = _uv(
        uv,
        *("audit", "--frozen", "--output-format=json", "--preview-features=audit-command,json-output"),
        *([] if service_url is None else [f"--service-url={service_url}"]),
    )
    audit = supply.parse_audit(asked.stdout) if asked.returncode in _ANSWERED else None
    if audit is None:
        click.echo(asked.stderr.strip(), err=True)
    seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
    made = supply.report(audit, accepted, today=started.date(), started=started, seconds=seconds)
    path = reports.write(made, sections=supply.sections(audit, accepted, started.date()))
    for it in audit.found if audit else ():
        covered = supply.excuse(it, accepted, started.date())
        fixed = f"mended in {', '.join(it.fixed_in)}" if it.fixed_in else "not mended anywhere"
        click.echo(f"{it.package} {it.version}: {it.names[0]}, {fixed}{'; accepted' if covered else ''}")
    click.echo(f"not asked: {supply.NOT_ASKED}")
    click.echo(f"{made.verdict.value}: {path.with_suffix('.html')}")
    sys.exit(made.verdict.exit_code)


@command.command("sign")
@click.argument("image")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Also append `attestation=...` here.")
@click.option("--envelope", type=click.Path(dir_okay=False, path_type=Path), help="Also write the envelope here.")
def sign(image: str, output: Path | None, envelope: Path | None) -> None:
    """Say where IMAGE (by digest) comes from, sign it with $SLIPWAY_SIGNING_KEY (PEM), and print it as one word.

    What it comes from is asked of GitHub's variables in a workflow, else of git in the present folder.
    """
    key = signing.private_key()
    try:
        made = provenance.sign(provenance.statement(_built(image)), key)
    except (ProvenanceError, UsageError) as error:
        raise click.UsageError(str(error)) from None
    word = provenance.packed(made)
    if envelope is not None:
        envelope.parent.mkdir(parents=True, exist_ok=True)
        envelope.write_text(made + "\n", encoding="utf-8")
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.write(f"attestation={word}\n")
    click.echo(word)


@command.command("verify")
@click.argument("image")
@click.option("--attestation", envvar="SLIPWAY_ATTESTATION", help="One word, as `sign` prints it.")
@click.option("--envelope", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Instead: its file.")
@click.option("--repository", help="What it must have been built from, such as https://github.com/team/notes.")
def verify(image: str, attestation: str | None, envelope: Path | None, repository: str | None) -> None:
    """Exit with 1 unless IMAGE (by digest) was signed by the key to which $SLIPWAY_SIGNING_PUBLIC_KEY (PEM) belongs."""
    key = signing.public_key()
    if (envelope is None) == (not attestation):
        raise click.UsageError("give --attestation or --envelope, and one of them only")
    try:
        text = provenance.unpacked(attestation or "") if envelope is None else envelope.read_text(encoding="utf-8")
        said = provenance.verify(text, key, image, repository=repository)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except ProvenanceError as error:
        raise click.ClickException(str(error)) from None
    build = said["predicate"]["buildDefinition"]
    click.echo(f"{image} was built from {json.dumps(build['externalParameters'])} at {_commit_of(build)}")


def _commit_of(build: Mapping[str, Any]) -> str:
    return next((it["digest"]["gitCommit"] for it in build["resolvedDependencies"] if "digest" in it), "no commit")


def _built(image: str) -> Built:
    """How the image was made, as the surroundings tell. Raises `ProvenanceError` if they tell nothing."""
    now = dt.datetime.now(dt.UTC)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        host = _github("SERVER_URL")
        server = f"{host}/{_github('REPOSITORY')}"
        return Built(
            image=image,
            repository=server,
            ref=_github("REF"),
            commit=_github("SHA"),
            builder=f"{host}/{_github('WORKFLOW_REF')}",
            run=f"{server}/actions/runs/{_github('RUN_ID')}/attempts/{_github('RUN_ATTEMPT')}",
            finished=now,
        )
    if _git("status", "--porcelain", "--untracked-files=no"):
        raise ProvenanceError("files here differ from the last commit: commit them, else nobody can build the same")
    return Built(
        image=image,
        repository=_git("remote", "get-url", "origin"),
        ref=_git("rev-parse", "--symbolic-full-name", "HEAD"),
        commit=_git("rev-parse", "HEAD"),
        builder="https://slipway.dev/builder/by-hand",
        run="",
        finished=now,
    )


def _github(name: str) -> str:
    value = os.environ.get(f"GITHUB_{name}")
    if not value:
        raise ProvenanceError(f"GITHUB_ACTIONS is true, and GITHUB_{name} is not set: a runner of GitHub sets both")
    return value


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProvenanceError(
            f"`git {' '.join(words)}` in {Path.cwd()} says: {done.stderr.strip()}; sign in the repository that the "
            "image was built from"
        )
    return done.stdout.strip()


def _uv(uv: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(uv), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
