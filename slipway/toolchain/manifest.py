"""What a cache entry holds: every file with size, mode and sha256, and the comparison with what lies on the disk."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

FORMAT: Final = 1


class ManifestError(ValueError):
    """A manifest that cannot be read; the entry it belongs to counts as not there."""


def key_of(inputs: Mapping[str, Any]) -> str:
    """The content address of a result: sha256 (hex) over everything that decides it.

    Args:
        inputs: JSON-able values. The order of keys does not matter, that of lists does.
    """
    canonical = json.dumps({"format": FORMAT, **inputs}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class FileFacts:
    """One file of an entry: size in bytes, permission bits, sha256 (hex) of its content; or the target of a link."""

    size: int
    mode: int
    sha256: str
    link: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The content of one entry.

    Attributes:
        name: What was made.
        key: Its content address.
        seconds: How long making it took.
        inputs: What went into the key, to read by people.
        files: Path relative to the entry's ``files`` folder -> facts.
    """

    name: str
    key: str
    seconds: float
    inputs: dict[str, Any]
    files: dict[str, FileFacts]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(facts.size for facts in self.files.values())

    def to_json(self) -> str:
        """The manifest as it is stored."""
        return json.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "key": self.key,
                "seconds": round(self.seconds, 1),
                "inputs": self.inputs,
                "files": {
                    path: {"size": facts.size, "mode": facts.mode, "sha256": facts.sha256, "link": facts.link}
                    for path, facts in sorted(self.files.items())
                },
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads a stored manifest.

        Raises:
            ManifestError: It is cut off, or of another format.
        """
        try:
            raw = json.loads(text)
            if raw["format"] != FORMAT:
                raise ManifestError(f"manifest format {raw['format']}, this version reads {FORMAT}")
            files = {
                str(path): FileFacts(int(it["size"]), int(it["mode"]), str(it["sha256"]), it["link"])
                for path, it in raw["files"].items()
            }
            return cls(str(raw["name"]), str(raw["key"]), float(raw["seconds"]), dict(raw["inputs"]), files)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ManifestError(f"unreadable manifest: {error}") from error


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        yield from (here / name for name in files)
        yield from (here / name for name in folders if (here / name).is_symlink())


def scan(folder: Path) -> dict[str, FileFacts]:
    """The facts of every file and link below a folder, by path relative to it."""
    found: dict[str, FileFacts] = {}
    for path in sorted(_walk(folder)):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[relative] = FileFacts(0, 0, "", str(path.readlink()))
        else:
            status = path.stat()
            found[relative] = FileFacts(status.st_size, stat.S_IMODE(status.st_mode), hash_file(path))
    return found


def flush(folder: Path) -> None:
    """Waits until every file below a folder is on the disk (a sync of all would wait for other programs as well)."""
    for parent, _, files in os.walk(folder):
        for path in (Path(parent), *(Path(parent) / name for name in files)):
            if not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)


def _difference(path: Path, facts: FileFacts, *, thorough: bool) -> str | None:
    """What is wrong with one file, or None.

    Raises:
        OSError: It cannot be read.
    """
    if facts.link is not None:
        return None if str(path.readlink()) == facts.link else "points elsewhere"
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if (status.st_size, mode) != (facts.size, facts.mode):
        return f"has {status.st_size} bytes and mode {mode:o} instead of {facts.size} and {facts.mode:o}"
    if thorough and hash_file(path) != facts.sha256:
        return "has other content than was written"
    return None


def problems(folder: Path, manifest: Manifest, *, thorough: bool) -> list[str]:
    """What is wrong with an entry's files; empty if nothing is.

    Args:
        folder: The folder that the manifest describes.
        manifest: What should be there.
        thorough: Also read every byte and compare hashes; otherwise presence, size and mode.
    """
    found: list[str] = []
    for relative, facts in manifest.files.items():
        try:
            difference = _difference(folder / relative, facts, thorough=thorough)
        except OSError as error:
            difference = f"cannot be read ({error.strerror})"
        if difference is not None:
            found.append(f"{relative} {difference}")
    return found
