"""What was proven so far: a file a scenario, so that an interrupted proof goes on where it was."""

from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, ValidationError

from slipway.proof.prove.scenarios import Form
from slipway.reports import Bar

_FORGETS_AFTER: Final = 24 * 3600.0


class Entry(BaseModel):
    """One scenario that ran.

    Attributes:
        scenario: its name.
        subject: what it ran on (cluster, environment and rate); an entry of another subject is not taken up.
        form: the form that it ran in; a smaller form takes it up too.
        started: when.
        seconds: how long it took.
        figures: what was measured.
        bars: its bars.
        page: file name of its own report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    subject: str
    form: Form
    started: AwareDatetime
    seconds: float
    figures: dict[str, JsonValue]
    bars: tuple[Bar, ...]
    page: str


class Journal:
    """Entries in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, entry: Entry) -> None:
        """Keep an entry, in place of an older one of its scenario."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._path(entry.scenario).with_suffix(".partial")
        partial.write_text(entry.model_dump_json(indent=2) + "\n")
        partial.replace(self._path(entry.scenario))

    def find(self, scenario: str, subject: str, form: Form, now: datetime) -> Entry | None:
        """The entry that still counts at `now`: it held, on the same subject, in no smaller form, in the day before."""
        try:
            entry = Entry.model_validate_json(self._path(scenario).read_text())
        except (FileNotFoundError, ValidationError):
            return None
        old = (now - entry.started).total_seconds() > _FORGETS_AFTER
        if entry.subject != subject or entry.form < form or old or not all(bar.holds for bar in entry.bars):
            return None
        return entry

    def forget(self) -> None:
        """Begin anew."""
        for path in self._folder.glob("*.json"):
            path.unlink()

    def _path(self, scenario: str) -> Path:
        return self._folder / f"{scenario}.json"
