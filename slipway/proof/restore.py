"""A restore as a drill: acknowledged writes under way, an instant picked, a fresh database, and the two compared.

The instant is asked of the database while writes go on. What was acknowledged before the question was sent committed
before the instant; what was sent after the answer came committed after it. So no two clocks are compared, and the bar
is exact: of the first none may be missing, of the second none may be there.
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from slipway.proof.clock import Clock, wait_until
from slipway.proof.ledger import Finding
from slipway.proof.writer import Answer, Ledger, Records
from slipway.reports import Bar, Report, derive

_RATE: Final = 20.0  # writes per second
_BEYOND: Final = 5.0  # seconds of writes after the instant: a restore must stop before them
_CREATED: Final = 201
_ENOUGH: Final = 100  # writes on each side, below which "none" says little
_READY_WITHIN: Final = 900.0
#: A log is archived within a minute; the rest is for the archiving itself.
RPO_SECONDS: Final = 90.0
RTO_SECONDS: Final = 600.0


class Databases(Protocol):
    """The running database, and the one that is restored beside it."""

    def base_backup(self) -> None:
        """Wait for a base backup that is complete; make one if there is none."""
        ...

    def instant(self) -> str:
        """The running primary's own time now, as RFC 3339."""
        ...

    def unarchived(self) -> float:
        """Seconds since the running primary archived last."""
        ...

    def archive(self) -> None:
        """Close the log that is being written, and wait until it is in the store."""
        ...

    def restore(self, moment: str) -> None:
        """Ask for the fresh database, as it was at that time."""
        ...

    def restored(self) -> bool:
        """Whether the fresh database answers."""
        ...

    def marks(self, prefix: str) -> Sequence[str]:
        """The marks of its records that begin so."""
        ...

    def newest(self) -> str:
        """When its newest record was made, as RFC 3339; empty if it has none."""
        ...

    def replace(self, mark: str, by: str) -> None:
        """Give the record of one mark in the fresh database another; for the negative control alone."""
        ...

    def remove(self) -> None:
        """Remove every fresh database, also one of a drill that was killed; harmless if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """An attempt to write a record.

    Attributes:
        mark: what the record is known by.
        sent: steady seconds at which it was sent first.
        acknowledged: steady seconds at which the service first said yes; None: it did not.
    """

    mark: str
    sent: float
    acknowledged: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a restored database holds of the writes.

    Attributes:
        promised: how many were acknowledged before the instant.
        beyond: how many were sent after it.
        between: how many were under way, which may be there or not.
        lost: marks of the promised that are not there.
        extra: marks of those beyond that are there.
        doubled: marks that are there more than once.
    """

    promised: int
    beyond: int
    between: int
    lost: tuple[str, ...]
    extra: tuple[str, ...]
    doubled: tuple[str, ...]

    @property
    def wrong(self) -> int:
        """How many writes are not as they were at the instant."""
        return len(self.lost) + len(self.extra) + len(self.doubled)


def compare(writes: Iterable[Write], found: Collection[str], *, asked: float, answered: float) -> Comparison:
    """Compare writes with what was restored.

    Args:
        writes: all of them.
        found: marks of the restored records, each as often as it is there.
        asked: steady seconds at which the database was asked for the instant.
        answered: steady seconds at which its answer was here.
    """
    known, seen = tuple(writes), set(found)
    promised = [it.mark for it in known if it.acknowledged is not None and it.acknowledged < asked]
    beyond = [it.mark for it in known if it.sent > answered]
    return Comparison(
        promised=len(promised),
        beyond=len(beyond),
        between=len(known) - len(promised) - len(beyond),
        lost=tuple(mark for mark in promised if mark not in seen),
        extra=tuple(mark for mark in beyond if mark in seen),
        doubled=tuple(sorted({mark for mark in found if list(found).count(mark) > 1}))
        if len(seen) < len(found)
        else (),
    )


class Recorder:
    """Notes when each write was sent and when it was acknowledged; one for all clients of a ledger."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: dict[str, float] = {}
        self._acknowledged: dict[str, float] = {}

    def around(self, connect: Callable[[], Records]) -> Callable[[], Records]:
        """The same clients, with their writes noted."""
        return lambda: _Noted(connect(), self)

    def sent(self, mark: str) -> None:
        """A write goes out; asking again does not make it younger."""
        with self._lock:
            self._sent.setdefault(mark, self._clock.steady())

    def acknowledged(self, mark: str) -> None:
        """The service said yes."""
        with self._lock:
            self._acknowledged.setdefault(mark, self._clock.steady())

    def writes(self) -> tuple[Write, ...]:
        """All so far."""
        with self._lock:
            return tuple(Write(mark, sent, self._acknowledged.get(mark)) for mark, sent in self._sent.items())


class _Noted:
    """`Records` whose writes are noted."""

    def __init__(self, inner: Records, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def create(self, key: str, mark: str) -> Answer:
        self._recorder.sent(mark)
        answer = self._inner.create(key, mark)
        if answer.status == _CREATED:
            self._recorder.acknowledged(mark)
        return answer

    def exists(self, identity: str, mark: str) -> bool:
        return self._inner.exists(identity, mark)

    def marks(self, prefix: str) -> Iterable[str]:
        return self._inner.marks(prefix)

    def delete(self, identity: str) -> None:
        self._inner.delete(identity)

    def close(self) -> None:
        self._inner.close()


@dataclass(slots=True)
class _Taken:
    instant: str = ""
    book: Finding | None = None
    comparison: Comparison | None = None
    control: Comparison | None = None
    unarchived: float | None = None
    rto: float | None = None


class RestoreDrill:
    """Restores to an instant that it picks itself.

    Args:
        databases: the running one and the restored one.
        connect: makes a client of the ledger.
        clock: waits and tells the time.
        folder: where the journal is kept.
        tell: shows a person what is being done.
    """

    def __init__(
        self,
        databases: Databases,
        connect: Callable[[], Records],
        clock: Clock,
        folder: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._databases = databases
        self._connect = connect
        self._clock = clock
        self._folder = folder
        self._tell = tell

    def run(self, seconds: float) -> Report:
        """Write, restore, compare, and clean up, whatever happens.

        Args:
            seconds: of writing before the instant; more than a minute, so that the archive's own pace is in it.
        """
        started, begin, taken = self._clock.now(), self._clock.steady(), _Taken()
        with cleaned(self._databases):
            self._tell("waiting for a base backup")
            self._databases.base_backup()
            self._measure(taken, seconds)
        bars = bars_of(taken.book, taken.comparison, taken.control, taken.unarchived, taken.rto)
        return Report(
            name="drill-restore",
            started=started,
            seconds=self._clock.steady() - begin,
            figures={
                "instant": taken.instant,
                "rpo_seconds": taken.unarchived,
                "rto_seconds": taken.rto,
                "promised": taken.comparison.promised if taken.comparison else None,
                "beyond": taken.comparison.beyond if taken.comparison else None,
                "under_way": taken.comparison.between if taken.comparison else None,
            },
            bars=bars,
            verdict=derive(bars),
        )

    def _measure(self, taken: _Taken, seconds: float) -> None:
        databases, clock, recorder = self._databases, self._clock, Recorder(self._clock)
        stamp = f"{clock.now():%Y%m%d-%H%M%S-%f}"
        ledger = Ledger(
            recorder.around(self._connect), self._folder / f"restore-{stamp}.jsonl", rate=_RATE, clock=clock
        )
        self._tell(f"writing for {seconds:g} s")
        with ledger:
            clock.wait(seconds)
            # No more is at stake than was written: before the ledger the database may have been at rest.
            taken.unarchived = min(databases.unarchived(), seconds)
            asked = clock.steady()
            taken.instant = databases.instant()
            answered = clock.steady()
            clock.wait(_BEYOND)
        taken.book = ledger.close_book()
        databases.archive()
        self._tell(f"restoring to {taken.instant}")
        taken.rto = restore(databases, clock, taken.instant)
        prefix, writes = f"ledger-{ledger.run}-", recorder.writes()
        taken.comparison = compare(writes, databases.marks(prefix), asked=asked, answered=answered)
        early = [it.mark for it in writes if it.acknowledged is not None and it.acknowledged < asked]
        late = [it.mark for it in writes if it.sent > answered]
        if early and late:
            databases.replace(early[0], late[0])
            taken.control = compare(writes, databases.marks(prefix), asked=asked, answered=answered)


def restore(databases: Databases, clock: Clock, moment: str) -> float:
    """Restore to a time.

    Returns:
        Seconds from asking for the fresh database until it answered.

    Raises:
        TookTooLongError: it did not answer in time.
    """
    begin = clock.steady()
    databases.restore(moment)
    wait_until(clock, databases.restored, what="the restored database to answer", within=_READY_WITHIN, every=1.0)
    return clock.steady() - begin


def restore_to(databases: Databases, clock: Clock, moment: datetime, tell: Callable[[str], None]) -> Report:
    """Restore to a moment of the past: no ledger is there of it, so what is shown is that nothing newer came back."""
    started, begin = clock.now(), clock.steady()
    with cleaned(databases):
        databases.base_backup()
        databases.archive()
        tell(f"restoring to {moment.isoformat()}")
        seconds = restore(databases, clock, moment.isoformat())
        newest = databases.newest()
    after = bool(newest) and datetime.fromisoformat(newest) > moment
    bars = (
        Bar(what="newest record of what was restored", measured=newest or "none", bar=f"<= {moment.isoformat()}",
            holds=not after),
        Bar.at_most("RTO: from asking to the first answer", round(seconds, 1), RTO_SECONDS, "s"),
    )  # fmt: skip
    return Report(
        name="drill-restore",
        started=started,
        seconds=clock.steady() - begin,
        figures={"instant": moment.isoformat(), "rto_seconds": seconds, "newest": newest},
        bars=bars,
        verdict=derive(bars),
    )


@contextlib.contextmanager
def cleaned(databases: Databases) -> Generator[None]:
    """Nothing restored is there before, and nothing is left after: also of a drill that was killed."""
    databases.remove()
    try:
        yield
    finally:
        databases.remove()


def bars_of(
    book: Finding | None,
    comparison: Comparison | None,
    control: Comparison | None,
    unarchived: float | None,
    rto: float | None,
) -> tuple[Bar, ...]:
    """The bars of a drill, also of what it did not get to."""
    lost, extra = "acknowledged writes before the instant that are lost", "writes after the instant that are there"
    caught = "control: a discarded acknowledged write, and one too many, are caught"
    return (
        Bar.not_run("writes of the running database lost or doubled", "<= 0")
        if book is None
        else Bar.at_most("writes of the running database lost or doubled", len(book.lost) + len(book.doubled), 0),
        *(
            (Bar.not_run(lost, "<= 0"), Bar.not_run(extra, "<= 0"))
            if comparison is None
            else (
                Bar.at_most(lost, len(comparison.lost) + len(comparison.doubled), 0),
                Bar.at_most(extra, len(comparison.extra), 0),
                Bar.at_least("writes before the instant", comparison.promised, _ENOUGH),
                Bar.at_least("writes after the instant", comparison.beyond, _ENOUGH // 2),
            )
        ),
        Bar.not_run(caught, "1 and 1")
        if control is None or comparison is None
        else Bar(
            what=caught,
            measured=f"{len(control.lost) - len(comparison.lost)} and {len(control.extra) - len(comparison.extra)}",
            bar="1 and 1",
            holds=len(control.lost) - len(comparison.lost) == 1 and len(control.extra) - len(comparison.extra) == 1,
        ),
        Bar.not_run("RPO: not yet archived at the instant", f"<= {RPO_SECONDS:g} s")
        if unarchived is None
        else Bar.at_most("RPO: not yet archived at the instant", round(unarchived, 1), RPO_SECONDS, "s"),
        Bar.not_run("RTO: from asking to the first answer", f"<= {RTO_SECONDS:g} s")
        if rto is None
        else Bar.at_most("RTO: from asking to the first answer", round(rto, 1), RTO_SECONDS, "s"),
    )
