"""Carries results to a machine that reaches no registry: one tar file with everything, and a list of what is in it.

The tar holds ``slipway-cache.json`` (every entry: name, key, bytes, sha256 of its manifest) and then each entry as it
lies in the cache. The importing machine compares every byte with the manifests before an entry takes its place. That
finds damage; whether the file is the one that was sent is for the two people to compare, by the sha256 that exporting
and importing both return.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from slipway.toolchain.cache import Cache, Entry
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.manifest import Manifest, ManifestError, hash_file, problems

INDEX: Final = "slipway-cache.json"
FORMAT: Final = 1


class TransferError(ToolchainError):
    """A transfer file cannot be written, or is damaged, or holds something else than it says."""


@dataclass(frozen=True)
class Transfer:
    """What went through.

    Attributes:
        file: The tar.
        sha256: Digest of it (hex); compare it on both sides.
        size: Bytes of it.
        entries: What it holds, ``NAME/KEY``.
        new: Those that were not there yet (all of them when exporting).
    """

    file: Path
    sha256: str
    size: int
    entries: tuple[str, ...]
    new: tuple[str, ...]


def _place(entry: Entry) -> str:
    folder = entry.files.parent
    return f"{folder.parent.name}/{folder.name}"


def _add_text(tar: tarfile.TarFile, name: str, path: Path) -> None:
    tar.add(path, name, recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owner and time are of the machine that exports; the same cache gives the same file."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def export_cache(entries: Iterable[Entry], target: Path, tell: Callable[[str], None] = lambda _line: None) -> Transfer:
    """Writes entries into one file; each is compared with its manifest, byte for byte, before.

    Args:
        entries: What to carry (of one cache).
        target: The tar to write; it appears only when complete.
        tell: Told the name of each entry.

    Raises:
        TransferError: An entry is damaged.
    """
    chosen = sorted({_place(entry): entry for entry in entries}.items())
    index: list[dict[str, Any]] = []
    for place, entry in chosen:
        wrong = problems(entry.files, entry.manifest, thorough=True)
        if wrong:
            raise TransferError(
                f"{place} in the cache is damaged: {'; '.join(wrong[:3])}. Build it again, then export."
            )
        index.append({"place": place, "bytes": entry.manifest.size, "manifest": hash_file(_manifest_of(entry))})
    partial = target.with_name(f"{target.name}.partial")
    with tarfile.open(partial, "w") as tar:
        with tempfile.TemporaryDirectory(prefix="slipway-export-") as folder:
            listing = Path(folder) / INDEX
            listing.write_text(json.dumps({"format": FORMAT, "entries": index}, indent=1), encoding="utf-8")
            listing.chmod(0o644)
            _add_text(tar, INDEX, listing)
        for place, entry in chosen:
            tell(place)
            _add_text(tar, f"{place}/manifest.json", _manifest_of(entry))
            for relative in sorted(entry.manifest.files):
                # Files that are one on the disk (hard links) become one in the tar.
                tar.add(entry.files / relative, f"{place}/files/{relative}", recursive=False, filter=_anonymous)
    partial.rename(target)
    names = tuple(place for place, _ in chosen)
    return Transfer(target, hash_file(target), target.stat().st_size, names, names)


def _manifest_of(entry: Entry) -> Path:
    return entry.files.parent / "manifest.json"


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        stream = tar.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise TransferError(f"{name} is not in the file; it is damaged or was not made by an export")
    with stream:
        return stream.read()


def _checked_place(place: str) -> tuple[str, str]:
    parts = PurePosixPath(place).parts
    if len(parts) != 2 or any(part in {"..", "/", "."} for part in parts):  # noqa: PLR2004  name and key
        raise TransferError(f"{place!r} is not the place of an entry")
    return parts[0], parts[1]


def _extract(tar: tarfile.TarFile, place: str, manifest: Manifest, files: Path, entries: Path) -> None:
    for relative, facts in manifest.files.items():
        path = PurePosixPath(relative)
        if path.is_absolute() or ".." in path.parts:
            raise TransferError(f"{place} holds {relative!r}, which leads out of it")
        target = files / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if facts.link is not None:
            target.symlink_to(facts.link)
            continue
        try:
            member = tar.getmember(f"{place}/files/{relative}")
        except KeyError:
            raise TransferError(f"{relative} of {place} is not in the file; it is damaged") from None
        twin = entries / member.linkname
        if member.islnk() and twin.is_file() and not twin.is_symlink() and ".." not in Path(member.linkname).parts:
            os.link(twin, target)
            continue
        stream = tar.extractfile(member)
        if stream is None:
            raise TransferError(f"{relative} of {place} is no ordinary file in the tar")
        with stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out)
        target.chmod(facts.mode & 0o777)


def _import_one(cache: Cache, tar: tarfile.TarFile, listed: dict[str, Any]) -> bool:
    place = str(listed["place"])
    name, _ = _checked_place(place)
    raw = _read(tar, f"{place}/manifest.json")
    if hashlib.sha256(raw).hexdigest() != listed["manifest"]:
        raise TransferError(f"the manifest of {place} is not the one that was exported; the file is damaged")
    manifest = Manifest.from_json(raw.decode())
    if manifest.name != name or cache.place(name, manifest.key).name != PurePosixPath(place).name:
        raise TransferError(f"{place} holds the entry {manifest.name} {manifest.key}; the file is damaged")
    if cache.find(name, manifest.key, thorough=True) is not None:
        return False

    def fill(files: Path) -> None:
        _extract(tar, place, manifest, files, cache.root / "entries")
        wrong = problems(files, manifest, thorough=True)
        if wrong:
            raise TransferError(f"{place}: {'; '.join(wrong[:3])}; the file is damaged")

    cache.adopt(manifest, fill)
    return True


def import_cache(cache: Cache, source: Path, tell: Callable[[str], None] = lambda _line: None) -> Transfer:
    """Reads a file that `export_cache` wrote into the cache. What is there already, whole, is left as it is.

    Args:
        cache: Where it goes.
        source: The tar.
        tell: Told the name of each entry.

    Raises:
        TransferError: The file is cut off, damaged, or something else; entries read before that are kept.
    """
    try:
        with tarfile.open(source, "r:") as tar:
            index = json.loads(_read(tar, INDEX))
            if index["format"] != FORMAT:
                raise TransferError(f"{source} has format {index['format']}, this version reads {FORMAT}")
            places: list[str] = []
            new: list[str] = []
            for listed in index["entries"]:
                tell(listed["place"])
                places.append(listed["place"])
                if _import_one(cache, tar, listed):
                    new.append(listed["place"])
    except (tarfile.TarError, ManifestError, KeyError, TypeError, ValueError, EOFError) as error:
        raise TransferError(f"{source} cannot be read as an export of the cache: {error}") from error
    except OSError as error:
        raise TransferError(f"{source} cannot be imported: {error}") from error
    return Transfer(source, hash_file(source), source.stat().st_size, tuple(places), tuple(new))
