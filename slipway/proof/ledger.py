"""Acknowledged writes, and whether each is still there once: the rule (pure) and the journal that survives a crash."""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """What is known of a write; a later word replaces an earlier one."""

    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    Attributes:
        key: the idempotency key, one for each write.
        mark: a text that the record carries and no other record does (here: the email).
        identity: the record's id, if the answer named one.
        why: why it is refused or unknown.
        resolved: this word came from asking again with the same key.
        at: Unix seconds at which the journal wrote it down; 0 before.
    """

    key: str
    mark: str
    state: State
    identity: str = ""
    why: str = ""
    resolved: bool = False
    at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of all writes.

    Attributes:
        written: writes that were sent.
        acknowledged: the service said yes, at once or when asked again.
        resolved: those whose outcome was unknown first and that an answer to the same key settled.
        unknown: no answer to the end: neither lost nor kept, counted apart.
        refused: the service said no.
        lost: keys that were acknowledged and whose record is gone.
        doubled: keys whose record is there more than once, under any state.
        ghosts: keys that were refused, and whose record is there all the same.
    """

    written: int
    acknowledged: int
    resolved: int
    unknown: int
    refused: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    ghosts: tuple[str, ...]


def latest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The last word on each key. An acknowledgement stands: what was promised once stays promised."""
    known: dict[str, Entry] = {}
    for entry in entries:
        before = known.get(entry.key)
        if before is not None and before.state is State.ACKNOWLEDGED and entry.state is not State.ACKNOWLEDGED:
            continue
        known[entry.key] = entry
    return known


def judge(entries: Iterable[Entry], marks: Iterable[str], identities: Collection[str]) -> Finding:
    """Compare what was promised with what is there.

    Args:
        entries: the whole journal.
        marks: the mark of every record that a complete listing shows, as often as it shows it.
        identities: ids of acknowledged records that were read back one by one.
    """
    known = latest(entries)
    listed = Counter(marks)
    acknowledged = [entry for entry in known.values() if entry.state is State.ACKNOWLEDGED]
    return Finding(
        written=len(known),
        acknowledged=len(acknowledged),
        resolved=sum(1 for entry in acknowledged if entry.resolved),
        unknown=sum(1 for entry in known.values() if entry.state in {State.SENT, State.UNKNOWN}),
        refused=sum(1 for entry in known.values() if entry.state is State.REFUSED),
        # Both ways of asking must show it: a record that only one of them finds is not safe.
        lost=tuple(e.key for e in acknowledged if e.identity not in identities or listed[e.mark] == 0),
        doubled=tuple(entry.key for entry in known.values() if listed[entry.mark] > 1),
        ghosts=tuple(e.key for e in known.values() if e.state is State.REFUSED and listed[e.mark] > 0),
    )


class JournalError(RuntimeError):
    """The journal holds something that it did not write."""


class Journal:
    """Append-only JSON lines; each is on the disk before `add` returns, so a crash forgets no promise.

    Lines stand in the order of what they tell: of two writes, one was acknowledged before the other was sent if its
    line comes first.

    Args:
        path: the file.
        now: Unix seconds.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._now = now
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Write one line, durably."""
        line = json.dumps(
            {"key": entry.key, "mark": entry.mark, "state": entry.state.value, "identity": entry.identity,
             "why": entry.why, "resolved": entry.resolved, "at": self._now()}
        )  # fmt: skip
        with self._lock, self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def entries(self) -> tuple[Entry, ...]:
        """Everything written so far.

        Raises:
            JournalError: a line in the middle cannot be read; a torn last one is a write that never returned.
        """
        if not self.path.exists():
            return ()
        lines = self.path.read_text(encoding="utf-8").split("\n")
        found: list[Entry] = []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                found.append(_entry(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):
                    break
                raise JournalError(f"line {number} of {self.path} is no entry: {error}") from error
        return tuple(found)


def _entry(value: Mapping[str, object]) -> Entry:
    return Entry(
        key=str(value["key"]),
        mark=str(value["mark"]),
        state=State(value["state"]),
        identity=str(value["identity"]),
        why=str(value["why"]),
        resolved=bool(value["resolved"]),
        at=float(str(value["at"])),
    )
