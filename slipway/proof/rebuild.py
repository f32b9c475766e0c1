"""A rebuild as a drill: a whole cluster is lost while it is written to, and made anew from the store of its backups.

What had not been archived is lost, so the newest write that came back is the instant of comparison: whatever was
acknowledged before that one was sent had committed before it, and must be there too. The journal's order tells; no two
clocks are compared, and of a hole in what was restored not one write goes unseen.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from slipway.proof.clock import Clock, wait_until
from slipway.proof.ledger import Entry, Journal, State
from slipway.proof.restore import RPO_SECONDS
from slipway.proof.writer import Answer, Ledger, Records
from slipway.reports import Bar, Report, derive

_RATE: Final = 20.0  # writes per second
_CREATED: Final = 201
_ENOUGH: Final = 100  # writes before the instant, below which "none is lost" says little
_ANSWERS_WITHIN: Final = 120.0  # seconds, once everything is ready
_CATCH_UP: Final = 10.0  # seconds: a list is read from a replica
#: Everything made anew in five minutes, as `slipway up` is held to, and a restore in ten.
RTO_SECONDS: Final = 900.0


class Estate(Protocol):
    """A cluster with a service, whose backups are somewhere else."""

    def base_backup(self) -> None:
        """Make a base backup, and wait until it is in the store."""
        ...

    def lose(self) -> None:
        """Lose everything at once, as far as the target can: no process is asked to end, no log is closed."""
        ...

    def rebuild(self) -> None:
        """Remove what is left, and make everything anew from the store; goes on where it was interrupted."""
        ...

    def connect(self) -> Records:
        """A client of the service that there is now."""
        ...


@dataclass(frozen=True, slots=True)
class Lost:
    """What must be known of a cluster that was lost, to judge what is made in its place.

    Attributes:
        run: of the ledger.
        journal: its file.
        at: Unix seconds of the loss.
    """

    run: str
    journal: Path
    at: float


@dataclass(frozen=True, slots=True)
class Survival:
    """What of the writes came back.

    Attributes:
        promised: how many were acknowledged before the newest that came back was sent.
        holes: marks of those of them that are not there.
        doubled: marks that are there more than once.
        gone: how many were acknowledged after it and are not there: what the archive did not have yet.
        rpo: seconds from the first acknowledgement of those until the loss; 0 if there are none.
    """

    promised: int
    holes: tuple[str, ...]
    doubled: tuple[str, ...]
    gone: int
    rpo: float


def survival(journal: Sequence[Entry], found: Collection[str], lost_at: float) -> Survival:
    """Compare a journal with what came back.

    Args:
        journal: every line, in order.
        found: marks that are there, each as often as it is.
        lost_at: Unix seconds of the loss.
    """
    seen = set(found)
    newest = max((at for at, it in enumerate(journal) if it.state is State.SENT and it.mark in seen), default=-1)
    promises: dict[str, tuple[int, float]] = {}
    for at, it in enumerate(journal):
        if it.state is State.ACKNOWLEDGED:
            promises.setdefault(it.mark, (at, it.at))
    before = [mark for mark, (at, _) in promises.items() if at < newest]
    gone = [when for mark, (at, when) in promises.items() if at >= newest and mark not in seen]
    return Survival(
        promised=len(before),
        holes=tuple(mark for mark in before if mark not in seen),
        doubled=tuple(sorted({mark for mark in found if list(found).count(mark) > 1}))
        if len(seen) < len(found)
        else (),
        gone=len(gone),
        rpo=max(0.0, lost_at - min(gone)) if gone else 0.0,
    )


class RebuildDrill:
    """Loses a cluster on purpose.

    Args:
        estate: what is lost and made anew.
        clock: waits and tells the time.
        folder: where the journal is kept.
        tell: shows a person what is being done.
        remember: keeps what `resume` needs, durably; called before anything is lost.
    """

    def __init__(
        self,
        estate: Estate,
        clock: Clock,
        folder: Path,
        tell: Callable[[str], None],
        remember: Callable[[Lost], None],
    ) -> None:
        self._estate = estate
        self._clock = clock
        self._folder = folder
        self._tell = tell
        self._remember = remember

    def run(self, seconds: float) -> Report:
        """Write, lose everything meanwhile, make it anew, compare.

        Args:
            seconds: of writing; more than a minute, so that the archive's own pace is in it.
        """
        clock, started = self._clock, self._clock.now()
        self._tell("a base backup into the store")
        self._estate.base_backup()
        path = self._folder / f"rebuild-{clock.now():%Y%m%d-%H%M%S-%f}.jsonl"
        ledger = Ledger(self._estate.connect, path, rate=_RATE, clock=clock)
        with ledger:
            self._tell(f"writing for {seconds:g} s")
            clock.wait(seconds)
            lost = Lost(ledger.run, path, clock.now().timestamp())
            self._remember(lost)
            self._tell("losing the whole cluster")
            self._estate.lose()
        return self._judge(lost, started, timed=True)

    def resume(self, lost: Lost) -> Report:
        """Go on after an interruption; how long it would have taken without one is not known then."""
        return self._judge(lost, self._clock.now(), timed=False)

    def _judge(self, lost: Lost, started: datetime, *, timed: bool) -> Report:
        clock = self._clock
        self._tell("making it anew from the store")
        self._estate.rebuild()
        with closing(self._estate.connect()) as records:
            self._tell("waiting for the first acknowledged write")
            wait_until(
                clock,
                lambda: _written(records, f"{lost.run}-after"),
                what="a write to be acknowledged",
                within=_ANSWERS_WITHIN,
                every=0.5,
            )
            rto = clock.now().timestamp() - lost.at if timed else None
            self._tell("comparing what came back with the journal")
            journal, prefix = Journal(lost.journal).entries(), f"ledger-{lost.run}-"
            found = self._found(records, prefix, journal, lost.at)
            kept = survival(journal, found, lost.at)
            caught = self._control(records, prefix, journal, lost.at, kept)
        bars = bars_of(kept, caught, rto)
        return Report(
            name="drill-rebuild",
            started=started,
            seconds=(clock.now() - started).total_seconds(),
            figures={
                "rpo_seconds": kept.rpo,
                "rto_seconds": rto,
                "promised": kept.promised,
                "came_back": len(found),
                "not_archived": kept.gone,
            },
            bars=bars,
            verdict=derive(bars),
        )

    def _found(self, records: Records, prefix: str, journal: Sequence[Entry], lost_at: float) -> list[str]:
        """The marks that the service lists; replicas get a while to catch up."""
        deadline = self._clock.steady() + _CATCH_UP
        while True:
            found = list(records.marks(prefix))
            if found and not survival(journal, found, lost_at).holes:
                return found
            if self._clock.steady() >= deadline:
                return found
            self._clock.wait(1.0)

    def _control(
        self, records: Records, prefix: str, journal: Sequence[Entry], lost_at: float, kept: Survival
    ) -> int | None:
        """How many more are found missing once one that came back is discarded; None if there is none to discard."""
        seen = set(records.marks(prefix))
        mine = next((it for it in journal if it.state is State.ACKNOWLEDGED and it.mark in seen), None)
        if mine is None:
            return None
        self._tell("control: discarding an acknowledged write")
        records.delete(mine.identity)
        wait_until(
            self._clock,
            lambda: mine.mark not in set(records.marks(prefix)),
            what="the discarded write to be gone",
            within=_CATCH_UP,
            every=0.5,
        )
        return len(survival(journal, list(records.marks(prefix)), lost_at).holes) - len(kept.holes)


def _written(records: Records, key: str) -> bool:
    answer: Answer = records.create(key, f"{key}@example.test")
    return answer.status == _CREATED


def bars_of(kept: Survival, caught: int | None, rto: float | None) -> tuple[Bar, ...]:
    """The bars; RTO is unknown after an interruption."""
    control, whole = "control: a discarded acknowledged write is caught", "RTO: from the loss to the first write"
    return (
        Bar.at_most("acknowledged writes before the newest restored one that are lost or doubled",
                    len(kept.holes) + len(kept.doubled), 0),
        Bar.at_least("writes before the newest restored one", kept.promised, _ENOUGH),
        Bar.not_run(control, "1", "nothing came back")
        if caught is None
        else Bar(what=control, measured=str(caught), bar="1", holds=caught == 1),
        Bar.at_most("RPO: age of the oldest acknowledged write that is gone", round(kept.rpo, 1), RPO_SECONDS, "s"),
        Bar.not_run(whole, f"<= {RTO_SECONDS:g} s", "interrupted")
        if rto is None
        else Bar.at_most(whole, round(rto, 1), RTO_SECONDS, "s"),
    )  # fmt: skip
