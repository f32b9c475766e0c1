"""Release manifests out of the Go modules that the toolchain builds from, pinned there by digest."""

from typing import Any

from infra import manifests
from infra.versions import ReleaseFile
from slipway.toolchain import Toolchain, ToolchainError


def read(release: ReleaseFile) -> list[dict[str, Any]]:
    """The objects of a release manifest.

    Raises:
        ManifestError: It cannot be had, its bytes are others than the pinned ones, or it is no release manifest.
    """
    try:
        content = Toolchain().module_file(release.module_set, release.path)
    except ToolchainError as error:
        raise manifests.ManifestError(f"the release manifest {release.path} cannot be used: {error}") from error
    return manifests.parse(content)
