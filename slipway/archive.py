"""One file with secrets in it: a tar that its owner alone can read, with the digest of everything that is inside."""

import hashlib
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

INDEX: Final = "recovery.json"
FORMAT: Final = 1


class ArchiveError(ValueError):
    """A file is no archive of ours, or not the one that was written."""


def pack(folder: Path, target: Path, about: Mapping[str, Any]) -> str:
    """Write everything in a folder into one file, which appears only when it is whole.

    Args:
        folder: What to pack.
        target: The file.
        about: What is told of it, as JSON.

    Returns:
        Its SHA-256.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {str(path.relative_to(folder)): _digest(path) for path in files}
    index = folder / INDEX
    index.write_text(json.dumps({"format": FORMAT, **about, "files": digests}, indent=1), encoding="utf-8")
    partial = target.with_name(f"{target.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path in (index, *files):
            tar.add(path, str(path.relative_to(folder)), recursive=False)
    partial.rename(target)
    return _digest(target)


def unpack(source: Path, folder: Path) -> dict[str, Any]:
    """Read a file that `pack` wrote into an empty folder; tells what was told of it.

    Raises:
        ArchiveError: It is something else, cut off, or changed.
    """
    try:
        with tarfile.open(source, "r:") as tar:
            tar.extractall(folder, filter="data")  # refuses what leads out of the folder
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ArchiveError(f"{source} has format {index['format']}; this version reads {FORMAT}")
        digests: dict[str, str] = index["files"]
    except (OSError, tarfile.TarError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ArchiveError(f"{source} cannot be read as an archive of `slipway recovery save`: {error}") from error
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {INDEX}
    wrong = sorted(found ^ set(digests)) or sorted(name for name in digests if _digest(folder / name) != digests[name])
    if wrong:
        raise ArchiveError(f"{source} is damaged: {', '.join(wrong[:3])} is not what was packed")
    return index


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
