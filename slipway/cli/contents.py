"""`slipway audit image`: what an image is made of, read from the image; and the signature under that list."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from infra.engine import REPOSITORY
from slipway import provenance
from slipway.cli import signing
from slipway.cli.context import Tools
from slipway.cli.image import signed_in
from slipway.cli.progress import Progress
from slipway.cli.requirements import IMAGE_PACKAGES
from slipway.inventory import document, layers, parts
from slipway.inventory.layers import InventoryError
from slipway.inventory.parts import Part
from slipway.provenance import ProvenanceError
from slipway.rollout.client import UsageError, digest_of
from slipway.toolchain import debian
from slipway.toolchain.images import Images, store
from slipway.toolchain.images.recipe import Archive, OciImage, Recipe
from slipway.toolchain.images.recipes import RECIPES
from slipway.toolchain.images.service import TARGETS

FOLDER: Final = Path("build") / "sbom"
_sbom = click.option(
    "--sbom",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The list; by default where `slipway audit image` has written it.",
)


@click.command("image")
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True)
@click.option("--ca", type=click.Path(exists=True, path_type=Path), help="Authority of the registry's certificate.")
def image(names: tuple[str, ...], output: Path, ca: Path | None) -> None:
    """Write a CycloneDX list of what each IMAGE holds: Debian packages, Go modules, Python packages.

    IMAGE is the name of one that this repository makes, which is built if it is missing, or NAME@sha256:... of a
    registry; $SLIPWAY_REGISTRY_USER and $SLIPWAY_REGISTRY_PASSWORD log in there, if both are set.
    """
    output.mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    with Progress() as progress:
        tools = Tools(progress)
        for name in names:
            progress.step(f"contents of the image {name}")
            if "@" in name:
                debian.ensure(store.PUSH_PACKAGES, progress.step)
                with tempfile.TemporaryDirectory(prefix="slipway-image-") as folder:
                    fetched = _fetched(name, Path(folder) / "layout", ca)
                    found = listed(fetched, tools.toolchain.go().path, None)
                shown, digest = fetched.name, fetched.digest
            else:
                built = _built(name, tools, progress)
                found = listed(built, tools.toolchain.go().path, RECIPES.get(name))
                shown, digest = name, built.digest
            path = path_of(shown, output)
            path.write_text(document.render(shown, digest, found), encoding="utf-8")
            made.append(f"{path}: {len(found)} parts")
    for line in made:
        click.echo(line)


@click.command("sign-sbom")
@click.argument("image_name", metavar="IMAGE")
@_sbom
@click.option("--envelope", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where to write it.")
def sign(image_name: str, sbom: Path | None, envelope: Path) -> None:
    """Sign with $SLIPWAY_SIGNING_KEY (PEM) that IMAGE (by digest) holds what its list says."""
    key = signing.private_key()
    try:
        made = provenance.sign(provenance.listing(image_name, _read(image_name, sbom)), key)
    except (ProvenanceError, UsageError) as error:
        raise click.UsageError(str(error)) from None
    envelope.parent.mkdir(parents=True, exist_ok=True)
    envelope.write_text(made + "\n", encoding="utf-8")
    click.echo(str(envelope))


@click.command("verify-sbom")
@click.argument("image_name", metavar="IMAGE")
@_sbom
@click.option("--envelope", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def verify(image_name: str, sbom: Path | None, envelope: Path) -> None:
    """Exit with 1 unless $SLIPWAY_SIGNING_PUBLIC_KEY (PEM) signed this list of IMAGE (by digest)."""
    key = signing.public_key()
    try:
        said = provenance.opened(envelope.read_text(encoding="utf-8"), key, image_name, provenance.SBOM)
        here = _read(image_name, sbom)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except ProvenanceError as error:
        raise click.ClickException(str(error)) from None
    if said["predicate"] != here:
        raise click.ClickException("another list of this image was signed than the one that is here")
    click.echo(f"{image_name}: {len(said['predicate'].get('components', ()))} parts")


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Where the list of an image lies; of several images of the same last name only one has a place."""
    return folder / f"image-{provenance.name_of(name).rpartition('/')[2]}.cdx.json"


def listed(held: OciImage, go: Path, recipe: Recipe | None) -> list[Part]:
    """All parts of an image.

    Args:
        held: It.
        go: The program that reads build information.
        recipe: How it was made, if we made it.

    Raises:
        InventoryError: It cannot be read, or nothing in it tells.
    """
    contents = layers.contents(held.layout)
    found = [*parts.debian(contents), *parts.go(_told(contents.programs, go)), *parts.python(contents)]
    if recipe is not None:
        # Of some images only files are kept, without dpkg's list.
        kept = {it.name: held.packages[it.name] for it in recipe.packages if layers.STATUS not in contents.texts}
        found += parts.copied(kept)
        found += [parts.archive(it.coordinates) for it in recipe.sources if isinstance(it, Archive)]
    if not found:
        raise InventoryError(
            f"nothing in the image {held.name} tells what it is made of: neither dpkg's list, nor a Go program, nor "
            "Python's metadata; a list of it has to come from whoever built it"
        )
    return found


def _built(name: str, tools: Tools, progress: Progress) -> OciImage:
    known = sorted({*RECIPES, *TARGETS})
    if name not in known:
        raise click.UsageError(
            f"there is no image {name!r}; allowed are NAME@sha256:... of a registry, and: {', '.join(known)}"
        )
    debian.ensure(IMAGE_PACKAGES, progress.step)
    return Images(tools.toolchain, repository=REPOSITORY).build(name)


def _fetched(name: str, layout: Path, ca: Path | None) -> OciImage:
    try:
        digest = digest_of(name)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    plain = provenance.name_of(name)
    with signed_in(plain):
        store.fetch(f"{plain}@{digest}", layout, ca)
    return OciImage(plain, layout, digest, {})


def _read(image_name: str, sbom: Path | None) -> Any:
    path = sbom or path_of(image_name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProvenanceError(
            f"{path} is no list of an image: {error}; `slipway audit image {image_name}` writes it"
        ) from error


def _told(programs: Mapping[str, bytes], go: Path) -> dict[str, str]:
    """What Go reads in programs; none of them is run."""
    told: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="slipway-programs-") as folder:
        file = Path(folder) / "program"
        for path, content in programs.items():
            file.write_bytes(content)
            done = subprocess.run(
                [str(go), "version", "-m", "-json", str(file)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise InventoryError(
                    f"/{path} of the image looks like a Go program, and Go says: {done.stderr.strip()}"
                )
            told[path] = done.stdout
    return told
