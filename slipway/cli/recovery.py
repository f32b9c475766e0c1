"""`slipway recovery`: what a cluster and its stacks cannot be without, in one file (docs/how-to/recovery.md)."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from infra import engine
from infra.engine import Engine, Place
from infra.naming import Project
from slipway import archive, node
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress
from slipway.node import recovery
from slipway.node.cluster import load
from slipway.node.stock import Stock

_CONTROL_PLANE: Final = "control-plane"
_STATE: Final = "state"
_AUTHORITY: Final = "authority"
#: Folder of Pulumi's backend in files.
_BACKEND: Final = ".pulumi"
#: Type of the authority in Pulumi's state (infra/components/certificates.py).
_AUTHORITY_TYPE: Final = "pulumi-python:dynamic/slipway:GeneratedAuthority"


@click.group("recovery")
def command() -> None:
    """Save a cluster's control plane, state and authority in one file; bring them back."""


@command.command("save")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@cluster_option
def save(file: Path, cluster: str) -> None:
    """Write what cannot be made again into FILE, which is one great secret.

    The control plane of an embedded cluster (etcd, keys), Pulumi's state with its passphrase and settings, and the
    platform's authority. Data of services is in the backups of Postgres, images are in the toolchain's cache.
    """
    with Progress() as progress, tempfile.TemporaryDirectory(prefix="slipway-recovery-") as scratch:
        tools, folder = Tools(progress), Path(scratch)
        parts: list[str] = []
        if node.exists(cluster):
            progress.step("etcd, certificates and keys")
            (folder / _CONTROL_PLANE).mkdir()
            recovery.save(load(cluster), Stock(), folder / _CONTROL_PLANE)
            parts.append(_CONTROL_PLANE)
        progress.step("state and authority")
        if tools.place.backend is None and save_state(tools.place, tools.engine, cluster, folder / _STATE):
            parts.append(_STATE)
        if save_authority(tools.engine.resources(Project.PLATFORM, cluster), folder / _AUTHORITY):
            parts.append(_AUTHORITY)
        if not parts:
            raise click.ClickException(f"there is nothing to save of a cluster {cluster!r}; `slipway up` makes one")
        about = {"cluster": cluster, "made": datetime.now(UTC).isoformat(), "parts": parts}
        digest = archive.pack(folder, file, about)
    click.echo(f"{file}: {', '.join(parts)}; sha256 {digest}")


@command.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--only",
    type=click.Choice([_CONTROL_PLANE, _STATE]),
    help="Leave the other part as it is.",
)
def restore(file: Path, only: str | None) -> None:
    """Bring back what FILE holds: the control plane of an embedded cluster, and Pulumi's state.

    An etcd that is there is moved aside; state that is there is kept and must be moved away first.
    """
    with Progress() as progress, tempfile.TemporaryDirectory(prefix="slipway-recovery-") as scratch:
        tools, folder = Tools(progress), Path(scratch)
        about = archive.unpack(file, folder)
        wanted = [it for it in about["parts"] if it != _AUTHORITY and only in {None, it}]
        if only is not None and only not in wanted:
            raise click.ClickException(f"{file} holds no {only}; it holds {', '.join(about['parts'])}")
        if _STATE in wanted:
            progress.step("state")
            restore_state(tools.place, folder / _STATE)
        if _CONTROL_PLANE in wanted:
            recovery.restore(folder / _CONTROL_PLANE, Stock(), progress.step)
    click.echo(f"cluster {about['cluster']}: {', '.join(wanted)} of {about['made']} restored; now `slipway preview`")


def save_state(place: Place, known: Engine, cluster: str, folder: Path) -> bool:
    """Copy the state of a cluster's stacks, which is encrypted, and what decrypts it; tells whether there is any."""
    stacks = list(known.stacks_of(cluster))
    if not stacks:
        return False
    # Of the backend too: without its mark it would take the stacks for those of an older version.
    found = {"passphrase": place.passphrase_file, f"{_BACKEND}/meta.yaml": place.stacks / _BACKEND / "meta.yaml"}
    for project, stack in stacks:
        inner = f"{_BACKEND}/stacks/{project.value}/{stack}.json"
        settings = engine.folder(project) / f"Pulumi.{stack}.yaml"
        found |= {inner: place.stacks / inner, f"settings/{project.value}/{settings.name}": settings}
    for name, path in found.items():
        if path.exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name)
    return True


def restore_state(place: Place, folder: Path) -> None:
    """Put state, passphrase and settings back where nothing is.

    Raises:
        click.ClickException: Something else is there; nothing was changed then.
    """
    targets = {folder / "passphrase": place.passphrase_file}
    for path in (folder / _BACKEND).rglob("*"):
        if path.is_file():
            targets[path] = place.stacks / path.relative_to(folder)
    for path in (folder / "settings").rglob("*.yaml"):
        targets[path] = engine.folder(Project(path.parent.name)) / path.name
    taken = [str(it) for source, it in targets.items() if it.exists() and it.read_bytes() != source.read_bytes()]
    if taken:
        raise click.ClickException(f"{', '.join(taken)} is there and is another; move it away first")
    place.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    for source, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def save_authority(resources: Iterable[Mapping[str, Any]], folder: Path) -> bool:
    """Write the authority that the platform has made, in files that `slipway-platform:authority` can name.

    Tells whether it has made one: of a stack that names its own, the files are with whoever made it.
    """
    found = [it["outputs"] for it in resources if it["type"] == _AUTHORITY_TYPE and not it.get("delete")]
    for outputs in found:
        folder.mkdir()
        (folder / "ca.crt").write_text(outputs["certificate"], encoding="utf-8")
        (folder / "ca.key").touch(mode=0o600)
        (folder / "ca.key").write_text(json.loads(outputs["private_key"]["plaintext"]), encoding="utf-8")
    return bool(found)
