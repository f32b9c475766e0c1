"""An image from a folder with a Dockerfile, pushed to a registry: for services that are not ours."""

import tempfile
from pathlib import Path

from slipway.toolchain.images.buildah import Buildah, certificates
from slipway.toolchain.images.store import ImageError
from slipway.toolchain.processes import CommandFailedError


def publish(context: Path, target: str, *, file: Path, ca: Path | None, log: Path) -> str:
    """Build a folder and push what comes out.

    Nothing is kept: each call builds anew, so that a base image which has moved on is taken up.

    Args:
        context: The folder.
        target: `host[:port]/path`, without tag or digest.
        file: The Dockerfile.
        ca: Authority of the registries' certificates, or a folder with ``ca.crt``, ``client.cert``, ``client.key``;
            None trusts what this machine trusts.
        log: File for what buildah says.

    Returns:
        The digest that the registry knows it by.

    Raises:
        ImageError: There is no such file, it cannot be built, or the registry cannot be reached or refuses.
    """
    if not file.is_file():
        raise ImageError(f"there is no {file}: name the service's Dockerfile with --file")
    with tempfile.TemporaryDirectory(prefix="slipway-publish-") as scratch:
        tool = Buildah(Path(scratch), log, lambda _line: None)
        written = Path(scratch) / "digest"
        try:
            with certificates(ca) as trust:
                tool.build_file(context, file, "localhost/slipway/publish:new", trust)
                tool.push("localhost/slipway/publish:new", target, written, trust)
        except CommandFailedError as error:
            raise ImageError(f"{context} could not be built and pushed to {target}: {error}") from error
        return written.read_text(encoding="ascii").strip()
