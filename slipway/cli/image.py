"""`slipway image`: the service's image, built once and named by its digest ever after."""

import base64
import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from infra.engine import REPOSITORY
from infra.images import CATALOGUE
from infra.naming import dns_label
from slipway.cli.context import Tools, state_folder
from slipway.cli.progress import Progress
from slipway.cli.requirements import IMAGE_PACKAGES
from slipway.rollout.client import UsageError, digest_of
from slipway.toolchain import debian
from slipway.toolchain.images import Images, dockerfile

#: The images that only this repository builds.
OURS: Final = tuple(name for name, image in CATALOGUE.items() if image.upstream is None)
USER: Final = "SLIPWAY_REGISTRY_USER"
PASSWORD: Final = "SLIPWAY_REGISTRY_PASSWORD"  # noqa: S105 -- the name of a variable
AUTH_FILE: Final = "REGISTRY_AUTH_FILE"


@click.group("image")
def command() -> None:
    """Build the service's image, push it, check its name."""


@command.command("build")
@click.argument("name", type=click.Choice(OURS))
def build(name: str) -> None:
    """Build image NAME, and print its digest."""
    with Progress() as progress:
        digest = _images(progress).build(name).digest
    click.echo(digest)


@command.command("push")
@click.argument("name", type=click.Choice(OURS))
@click.option("--registry", required=True, help="HOST[:PORT][/PATH]; the image becomes slipway/NAME below it.")
@click.option("--ca", type=click.Path(exists=True, path_type=Path), help="Authority of the registry's certificate.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also append `image=...` and `digest=...` here."
)
def push(name: str, registry: str, ca: Path | None, output: Path | None) -> None:
    """Build image NAME, push it, and print it by digest.

    $SLIPWAY_REGISTRY_USER and $SLIPWAY_REGISTRY_PASSWORD log in, if both are set.
    """
    with Progress() as progress, signed_in(registry):
        digest = _images(progress).push(name, registry, ca)
    _tell(f"{registry}/slipway/{name}@{digest}", digest, output)


@command.command("publish")
@click.argument("name")
@click.argument("context", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--registry", required=True, help="HOST[:PORT][/PATH]; the image becomes NAME below it.")
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="[default: Dockerfile in CONTEXT]")
@click.option("--ca", type=click.Path(exists=True, path_type=Path), help="Authority of the registry's certificate.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also append `image=...` and `digest=...` here."
)
def publish(
    *, name: str, context: Path, registry: str, file: Path | None, ca: Path | None, output: Path | None
) -> None:
    """Build the folder CONTEXT with its Dockerfile, push it as NAME, and print it by digest: a service of yours.

    $SLIPWAY_REGISTRY_USER and $SLIPWAY_REGISTRY_PASSWORD log in, if both are set.
    """
    target = f"{registry}/{dns_label('the image', name)}"
    with Progress() as progress, signed_in(registry):
        debian.ensure(IMAGE_PACKAGES[:1], progress.step)
        progress.step(f"image {name}")
        log = state_folder() / "logs" / f"publish-{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = dockerfile.publish(context, target, file=file or context / "Dockerfile", ca=ca, log=log)
    _tell(f"{target}@{digest}", digest, output)


@command.command("check")
@click.argument("image")
def check(image: str) -> None:
    """Exit with 2 unless IMAGE is named by a whole digest."""
    try:
        click.echo(digest_of(image))
    except UsageError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def signed_in(registry: str) -> Generator[None]:
    """Credentials of the environment as a private file that the copying program reads, for as long as it runs."""
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if not (user and password):
        yield
        return
    secret = base64.b64encode(f"{user}:{password}".encode()).decode()
    host = registry.partition("/")[0]
    before = os.environ.get(AUTH_FILE)
    with tempfile.TemporaryDirectory(prefix="slipway-registry-") as folder:  # private to this user
        path = Path(folder) / "auth.json"
        path.write_text(json.dumps({"auths": {host: {"auth": secret}}}), encoding="utf-8")
        os.environ[AUTH_FILE] = str(path)
        try:
            yield
        finally:
            if before is None:
                del os.environ[AUTH_FILE]
            else:
                os.environ[AUTH_FILE] = before


def _tell(image: str, digest: str, output: Path | None) -> None:
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.write(f"image={image}\ndigest={digest}\n")
    click.echo(image)


def _images(progress: Progress) -> Images:
    debian.ensure(IMAGE_PACKAGES, progress.step)
    return Images(Tools(progress).toolchain, repository=REPOSITORY)
