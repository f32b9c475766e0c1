"""Programs that Python distributions carry: this environment has them from its lock, which pins the wheels by hash."""

from importlib import metadata
from pathlib import Path

from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.manifest import hash_file


class DistributionError(ToolchainError):
    """A distribution is not installed, or does not carry the program that was reviewed."""


def program(distribution: str, name: str, sha256: str) -> Path:
    """Find the program of a distribution.

    Args:
        distribution: Its name.
        name: Name of the program.
        sha256: What it must hash to (hex).

    Raises:
        DistributionError: It is not there, or hashes to something else.
    """
    try:
        files = metadata.distribution(distribution).files or ()
    except metadata.PackageNotFoundError:
        raise DistributionError(
            f"the Python distribution {distribution} is not installed: `make venv` installs what the lock names"
        ) from None
    found = next((Path(str(file.locate())) for file in files if file.name == name and file.parent.name == "bin"), None)
    if found is None:
        raise DistributionError(f"the Python distribution {distribution} carries no program {name}")
    actual = hash_file(found)
    if actual != sha256:
        raise DistributionError(
            f"the program {name} of {distribution} has sha256 {actual}, but {sha256} is pinned. If the version was "
            "raised on purpose, pin the new digest in the recipe; if not, do not use it."
        )
    return found.resolve()
