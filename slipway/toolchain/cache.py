"""The content-addressed cache: results are looked up by everything that decides them, and are complete or not there.

Layout below the root::

    entries/NAME/KEY/manifest.json   what is in files/, with sha256, size and mode; written before the rename
    entries/NAME/KEY/files/...       the result
    entries/NAME/KEY/verified        the boot in which the hashes were last compared
    entries/NAME/KEY/imported        only if it was made elsewhere (`transfer`)
    partial/NAME-KEY-xxxx/           being made; renamed to its place when complete
    locks/NAME-KEY.lock              held while it is made: a second run waits, then finds the result
    logs/NAME.log                    output of the last build
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.toolchain import locks
from slipway.toolchain.manifest import Manifest, ManifestError, flush, problems, scan

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SHORT = 16  # hex digits of a key in a path: 64 bits


def default_cache_root() -> Path:
    """``$XDG_CACHE_HOME/slipway/toolchain``, by default ``~/.cache/slipway/toolchain``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "slipway" / "toolchain"


@dataclass(frozen=True)
class Entry:
    """A complete result.

    Attributes:
        files: The folder with its files. Never write there.
        manifest: What it holds.
    """

    files: Path
    manifest: Manifest


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class Cache:
    """Results by name and key.

    Args:
        root: Folder of the cache, made if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def place(self, name: str, key: str) -> Path:
        """Where an entry lies, if it is there."""
        return self.root / "entries" / name / key[:_SHORT]

    def log(self, name: str) -> Path:
        """Where the output of making something goes; the folder exists."""
        (self.root / "logs").mkdir(exist_ok=True)
        return self.root / "logs" / f"{name}.log"

    def find(self, name: str, key: str, *, thorough: bool = False) -> Entry | None:
        """Looks a result up.

        Presence, size and mode of every file are compared always; the hashes when asked for, and once after each boot
        (a machine that lost power can come back with files of the right size and the wrong content).

        Returns:
            The entry, or None if there is none or it is damaged (making it again replaces it).
        """
        place = self.place(name, key)
        try:
            manifest = Manifest.from_json((place / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ManifestError):
            return None
        if (manifest.name, manifest.key) != (name, key):
            return None
        stamp = place / "verified"
        with suppress(OSError):
            thorough = thorough or stamp.read_text(encoding="ascii") != _boot()
        if problems(place / "files", manifest, thorough=thorough):
            return None
        if thorough:
            with suppress(OSError):  # a cache that is only readable is still a cache
                stamp.write_text(_boot(), encoding="ascii")
        return Entry(place / "files", manifest)

    def get_or_make(
        self,
        name: str,
        inputs: Mapping[str, Any],
        key: str,
        make: Callable[[Path], None],
        *,
        on_wait: Callable[[str], None] = lambda _holder: None,
        cancelled: threading.Event | None = None,
    ) -> Entry:
        """Finds a result, or makes it while nobody else does.

        Args:
            name: What it is; part of paths.
            inputs: What went into the key, kept in the manifest for people.
            key: Content address (`manifest.key_of`).
            make: Fills the empty folder that it is given (its siblings are scratch space). If it raises, nothing is
                kept.
            on_wait: Called once with the holder if another run is making the same.
            cancelled: Ends the wait for another run.

        Raises:
            InterruptedError: `cancelled` was set while waiting.
        """
        found = self.find(name, key)
        if found is not None:
            return found
        with self._locked(name, key, on_wait, cancelled) as held:
            found = self.find(name, key, thorough=held.unclean)
            if found is not None:
                return found  # the run that was waited for has made it
            self._sweep(name, key)
            return self._make(name, inputs, key, make)

    @contextmanager
    def _locked(
        self, name: str, key: str, on_wait: Callable[[str], None], cancelled: threading.Event | None
    ) -> Generator[locks.Held]:
        path = self.root / "locks" / f"{name}-{key[:_SHORT]}.lock"
        with locks.hold([path], on_wait, cancelled) as held:
            yield held

    def _sweep(self, name: str, key: str) -> None:
        """Removes a damaged entry and what killed runs left half made. Only under the entry's lock."""
        shutil.rmtree(self.place(name, key), ignore_errors=True)
        for leftover in (self.root / "partial").glob(f"{name}-{key[:_SHORT]}-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _make(self, name: str, inputs: Mapping[str, Any], key: str, make: Callable[[Path], None]) -> Entry:
        begun = time.monotonic()
        with self._partial(name, key) as partial:
            files = partial / "files"
            make(files)
            self._remove_scratch(partial)
            manifest = Manifest(name, key, time.monotonic() - begun, dict(inputs), scan(files))
            self._commit(partial, manifest)
        return Entry(self.place(name, key) / "files", manifest)

    def adopt(self, manifest: Manifest, fill: Callable[[Path], None]) -> None:
        """Takes over a result that was made elsewhere; replaces what is there.

        Args:
            manifest: What it holds.
            fill: Fills the empty folder that it is given and checks it; if it raises, nothing is kept.
        """
        with self._locked(manifest.name, manifest.key, lambda _holder: None, None):
            self._sweep(manifest.name, manifest.key)
            with self._partial(manifest.name, manifest.key) as partial:
                fill(partial / "files")
                (partial / "imported").touch()
                self._commit(partial, manifest)

    @contextmanager
    def _partial(self, name: str, key: str) -> Generator[Path]:
        (self.root / "partial").mkdir(exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{name}-{key[:_SHORT]}-", dir=self.root / "partial"))
        try:
            partial.chmod(0o755)  # programs of an entry may run as another user
            (partial / "files").mkdir()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @staticmethod
    def _remove_scratch(partial: Path) -> None:
        for path in partial.iterdir():
            if path.name == "files":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _commit(self, partial: Path, manifest: Manifest) -> None:
        """Puts a complete ``partial/files`` to its place in one step."""
        (partial / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
        (partial / "verified").write_text(_boot(), encoding="ascii")
        flush(partial)  # the bytes are on the disk before the name is
        place = self.place(manifest.name, manifest.key)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(place)

    def find_imported(self, name: str, inputs: Mapping[str, Any], *, apart_from: str) -> Entry | None:
        """A result that was made elsewhere from the same inputs, one of them aside.

        A machine without registries cannot build; what was brought to it counts although the Go there was another.

        Args:
            name: What it is.
            inputs: What would go into the key here.
            apart_from: The input that may differ.
        """
        wanted = {**inputs, apart_from: None}
        for mark in sorted((self.root / "entries" / name).glob("*/imported")):
            try:
                manifest = Manifest.from_json((mark.parent / "manifest.json").read_text(encoding="utf-8"))
            except (OSError, ManifestError):
                continue
            if {**manifest.inputs, apart_from: None} == wanted:
                found = self.find(name, manifest.key)
                if found is not None:
                    return found
        return None

    def entries(self) -> Iterator[Entry]:
        """Every entry whose manifest is readable, in the order of names; files are not checked."""
        for path in sorted((self.root / "entries").glob("*/*/manifest.json")):
            with suppress(ManifestError):
                yield Entry(path.parent / "files", Manifest.from_json(path.read_text(encoding="utf-8")))
