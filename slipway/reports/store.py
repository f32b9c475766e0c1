"""Reports on disk: one JSON file and one page each, written whole or not at all."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from slipway.reports.model import Report
from slipway.reports.page import Section, render

FOLDER: Final = Path("build/reports")


class ReportError(Exception):
    """A file that should be a report is not one."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A file among the reports that cannot be read as one, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything found in a folder: what is broken is listed, never left out."""

    reports: tuple[Report, ...]
    broken: tuple[Broken, ...]


def write(report: Report, folder: Path = FOLDER, sections: Sequence[Section] = ()) -> Path:
    """Write `<name>.json` and `<name>.html` into the folder, replacing older ones.

    Args:
        report: what was measured.
        folder: made if missing.
        sections: plots and tables for the page; the JSON file does not hold them.

    Returns:
        Path of the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}.json"
    # The page first: whoever sees the JSON file finds the page beside it.
    _write_whole(path.with_suffix(".html"), render(report, sections))
    _write_whole(path, report.model_dump_json(indent=2) + "\n")
    return path


def load(path: Path) -> Report:
    """Read and check one report.

    Raises:
        ReportError: the file is missing, is no JSON, or breaks a rule of `Report`.
    """
    try:
        report = Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReportError(f"report {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'report'}: {e['msg']}" for e in error.errors())
        raise ReportError(f"report {path} is not valid: {reasons}. Measure again, or remove the file.") from error
    if report.name != path.stem:
        raise ReportError(f"report {path} calls itself {report.name!r}; name and file must agree")
    return report


def scan(folder: Path = FOLDER) -> Scan:
    """Read every `*.json` of the folder, oldest measurement first; a missing folder is an empty one."""
    reports: list[Report] = []
    broken: list[Broken] = []
    for path in sorted(folder.glob("*.json")):
        try:
            reports.append(load(path))
        except ReportError as error:
            broken.append(Broken(path, str(error)))
    return Scan(tuple(sorted(reports, key=lambda report: (report.started, report.name))), tuple(broken))


def load_all(folder: Path = FOLDER) -> tuple[Report, ...]:
    """Every report of the folder, oldest first.

    Raises:
        ReportError: at least one file is broken; the message names each.
    """
    found = scan(folder)
    if found.broken:
        raise ReportError("\n".join(broken.why for broken in found.broken))
    return found.reports


def _write_whole(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
