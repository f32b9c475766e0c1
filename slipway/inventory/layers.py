"""Reads an image in OCI layout: the files that tell what is in it, as its last layer leaves them."""

import json
import posixpath
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slipway.toolchain.images.buildah import manifest_digest

STATUS: Final = "var/lib/dpkg/status"
#: Images that hold no dpkg (distroless) keep a file for each package there.
STATUSES: Final = "var/lib/dpkg/status.d/"
RELEASE: Final = "usr/lib/os-release"
_DOCUMENTS: Final = "usr/share/doc/"
_ELF: Final = b"\x7fELF"
#: What the Go linker writes before a program's list of modules.
_GO: Final = b"\xff Go buildinf:"
_GONE: Final = ".wh."
_ALL_GONE: Final = ".wh..wh..opq"
#: Python packages of Debian are Debian packages.
_DEBIANS_PYTHON: Final = "usr/lib/python3/"


class InventoryError(ValueError):
    """An image of which it cannot be told what it holds; the message names the file, and what is wrong with it."""


@dataclass
class Contents:
    """The files that tell: path in the image, without the first slash -> bytes; and the links that lead to some."""

    texts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    programs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    links: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, path: str) -> bytes | None:
        """A text, through links of its folder or of itself."""
        for _ in range(8):  # no real chain is as long
            if path in self.texts:
                return self.texts[path]
            link = next((it for it in (path, posixpath.dirname(path)) if it in self.links), None)
            if link is None:
                return None
            target = posixpath.normpath(posixpath.join("/", posixpath.dirname(link), self.links[link]))
            path = target.lstrip("/") + path[len(link) :]
        return None

    def forget(self, path: str, *, itself: bool = True, below: bool = True) -> None:
        """What a layer takes away: a path, and all below it."""
        folder = f"{path}/" if path else ""  # all is below the root
        for kept in (self.texts, self.programs, self.links):
            if itself:
                kept.pop(path, None)
            if below:
                for it in [it for it in kept if it.startswith(folder)]:
                    del kept[it]


def contents(layout: Path) -> Contents:
    """The files of an image that tell what it is made of.

    Args:
        layout: Folder with one image.

    Raises:
        InventoryError: It is something else, or damaged.
    """
    found = Contents()
    for layer in _layers(layout):
        try:
            with tarfile.open(layer, "r:*") as tar:
                _read_layer(tar, found)
        except (tarfile.TarError, zlib.error, EOFError, KeyError, OSError) as error:
            raise InventoryError(
                f"the layer {layer} cannot be read: {error}; wanted is a tar, as it is or packed by gzip. Build or "
                "push the image again"
            ) from error
    return found


def _layers(layout: Path) -> list[Path]:
    blobs = layout / "blobs" / "sha256"
    try:
        manifest = json.loads((blobs / manifest_digest(layout).partition(":")[2]).read_text(encoding="utf-8"))
        return [blobs / layer["digest"].partition(":")[2] for layer in manifest["layers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InventoryError(f"{layout} is no OCI layout of one image: {type(error).__name__}: {error}") from error


def _read_layer(tar: tarfile.TarFile, found: Contents) -> None:
    # What a layer takes away is of the layers below, wherever in the layer it says so: its own files come after.
    added = Contents()
    for entry in tar:
        path = _path(entry.name)
        folder, name = posixpath.split(path)
        if name == _ALL_GONE:
            found.forget(folder, itself=False)
        elif name.startswith(_GONE):
            found.forget(posixpath.join(folder, name.removeprefix(_GONE)))
        else:
            found.forget(path, below=not entry.isdir())
            _keep(tar, entry, path, added)
    found.texts |= added.texts
    found.programs |= added.programs
    found.links |= added.links


def _keep(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str, added: Contents) -> None:
    if entry.issym():
        if path.startswith(_DOCUMENTS):
            added.links[path] = entry.linkname
        return
    if entry.islnk() and (same := added.programs.get(_path(entry.linkname))) is not None:
        added.programs[path] = same
        return
    file = tar.extractfile(entry) if entry.isreg() or (entry.islnk() and _tells(path)) else None
    if file is None:
        return
    if _tells(path):
        added.texts[path] = file.read()
    elif entry.mode & 0o111:
        start = file.read(len(_ELF))
        if start == _ELF:
            program = start + file.read()
            if _GO in program:
                added.programs[path] = program


def _path(name: str) -> str:
    path = posixpath.normpath(name).lstrip("/")
    return "" if path == "." else path


def _tells(path: str) -> bool:
    if path in {STATUS, RELEASE} or (path.startswith(STATUSES) and not path.endswith(".md5sums")):
        return True
    if path.startswith(_DOCUMENTS):
        return path.endswith("/copyright")
    return path.endswith(".dist-info/METADATA") and not path.startswith(_DEBIANS_PYTHON)
