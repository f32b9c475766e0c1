"""Archives from the Maven repository, by the ordinary client, so that its mirrors and proxies hold here too."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slipway.toolchain.debian import Package
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.manifest import hash_file
from slipway.toolchain.processes import Children, Command, run

PACKAGES: Final = (Package("maven", "fetches archives from the Maven repository"),)

_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


class ArchiveError(ToolchainError):
    """An archive is not the one that was reviewed, or holds something that may not be unpacked."""


def fetch(
    coordinates: str,
    sha256: str,
    folder: Path,
    *,
    on_line: Callable[[str], None] = lambda _line: None,
    children: Children | None = None,
    program: str = "mvn",
) -> Path:
    """Fetch an archive.

    Args:
        coordinates: ``group:artifact:version:packaging``.
        sha256: What its bytes must hash to (hex).
        folder: Where to put it; made.
        on_line: Called with each line that Maven prints.
        children: Where Maven is registered while it runs.
        program: The Maven to run.

    Returns:
        The file.

    Raises:
        CommandFailedError: Maven could not get it.
        ArchiveError: It hashes to something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = (program, "--batch-mode", "--quiet", _COPY, f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}")
    # A folder of its own: a pom.xml in the caller's would be read.
    run(Command(command, folder), on_line, children)
    _, artifact, version, packaging = coordinates.split(":")
    path = folder / f"{artifact}-{version}.{packaging}"
    found = hash_file(path)
    if found != sha256:
        raise ArchiveError(
            f"{coordinates} has sha256 {found}, but {sha256} is pinned. If the version was raised on purpose, look at "
            "what is in the archive and pin the new digest; if not, do not use it."
        )
    return path


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip.

    Args:
        archive: The zip.
        folder: Where to; made.

    Returns:
        Its one folder at the top, or `folder` if there is not exactly one.

    Raises:
        ArchiveError: A name in it leads out of the folder.
    """
    with zipfile.ZipFile(archive) as content:
        for name in content.namelist():
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                raise ArchiveError(f"{archive.name} holds {name!r}, which leads out of the folder; do not use it")
        content.extractall(folder)
    tops = list(folder.iterdir())
    return tops[0] if len(tops) == 1 and tops[0].is_dir() else folder
