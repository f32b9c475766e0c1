"""Files that upstream keeps in its modules (release manifests): the same bytes as on its release pages."""

import hashlib
from pathlib import Path

from slipway.toolchain.errors import ToolchainError


class ModuleFileError(ToolchainError):
    """A file of a module is missing or is not the one that was reviewed."""


def checked_file(module: Path, path: str, sha256: str) -> bytes:
    """Reads a file of an unpacked module.

    Args:
        module: The module's folder.
        path: Path inside it.
        sha256: What its bytes must hash to (hex).

    Raises:
        ModuleFileError: It is not there, or hashes to something else.
    """
    if not (module / path).is_file():
        raise ModuleFileError(f"{module.name} has no file {path}; look where this version keeps it")
    content = (module / path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModuleFileError(
            f"{path} of {module.name} has sha256 {found}, but {sha256} is pinned. If the version was raised on "
            "purpose, read what changed in the file and pin the new digest; if not, do not use it."
        )
    return content
