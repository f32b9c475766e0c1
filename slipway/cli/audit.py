"""`slipway audit`: lists of what the images and the tool are made of, and what is known against it."""

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from infra.engine import REPOSITORY
from slipway import reports, supply

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
    """Ask what is known against every locked package; exits 1 if something is that no exception covers."""
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
    click.echo(f"{made.verdict.value}: {path.with_suffix('.html')}")
    sys.exit(made.verdict.exit_code)


def _uv(uv: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(uv), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
