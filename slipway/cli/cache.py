"""`slipway cache`: the toolchain's results in one file, for machines that reach no registry."""

from pathlib import Path

import click

from infra.images import CATALOGUE
from slipway.cli.context import Tools
from slipway.cli.progress import Progress
from slipway.cli.requirements import CLUSTER_PROGRAMS, PLATFORM_PROGRAMS, RECOVERY_PROGRAMS
from slipway.node.stock import REPOSITORY
from slipway.toolchain.images import Images
from slipway.toolchain.transfer import Transfer, export_cache, import_cache

PROGRAMS = (*CLUSTER_PROGRAMS, *PLATFORM_PROGRAMS, *RECOVERY_PROGRAMS)


@click.group("cache")
def command() -> None:
    """Carry what the toolchain has built to a machine without registries."""


@command.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(file: Path) -> None:
    """Write every program and image that `slipway up` can need into FILE; what is missing is built first."""
    with Progress() as progress:
        toolchain = Tools(progress).toolchain
        progress.step("programs and images")
        images = Images(toolchain, repository=REPOSITORY)
        entries = [*toolchain.entries(PROGRAMS), *toolchain.file_entries(), *images.entries(list(CATALOGUE))]
        progress.step(f"writing {file}")
        sent = export_cache(entries, file, progress.detail)
    _tell(sent)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    """Read FILE into the cache; every byte is compared with what was written. Compare its sha256 with the sender's."""
    with Progress() as progress:
        progress.step(f"reading {file}")
        got = import_cache(Tools(progress).toolchain.cache, file, progress.detail)
    _tell(got)


def _tell(it: Transfer) -> None:
    click.echo(f"{it.file}: {len(it.entries)} entries, {len(it.new)} new, {it.size} bytes, sha256 {it.sha256}")
