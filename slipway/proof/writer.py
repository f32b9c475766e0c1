"""The ledger at work: writes at a steady pace, asks again where the outcome is unknown, reads everything back."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from slipway.proof.clock import Clock
from slipway.proof.ledger import Entry, Finding, Journal, State, judge, latest

_CREATED: Final = 201
_CLIENT_ERRORS: Final = range(400, 500)
_UNSETTLED: Final = {408, 409, 425, 429}  # "not now" and "still at it" are no refusal
_CATCH_UP_SECONDS: Final = 10.0
_TRY_EVERY: Final = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a write.

    Attributes:
        status: HTTP status; 0: no answer.
        identity: the record's id, if any.
        error: what happened, if no answer came.
    """

    status: int
    identity: str = ""
    error: str = ""


class Records(Protocol):
    """The service as the ledger sees it. One instance is used by one thread at a time."""

    def create(self, key: str, mark: str) -> Answer:
        """Write a record under an idempotency key. Never raises for what the service or the network does."""
        ...

    def exists(self, identity: str, mark: str) -> bool:
        """Whether the record can be read by its id and carries the mark; raises if there is no answer."""
        ...

    def marks(self, prefix: str) -> Iterable[str]:
        """The marks of all records that begin so, each as often as it is there; raises if there is no answer."""
        ...

    def delete(self, identity: str) -> None:
        """Delete a record; for the negative control alone."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...


def settle(key: str, mark: str, answer: Answer, *, resolved: bool = False) -> Entry:
    """What an answer says about a write. Only 201 is a promise, only a client error a refusal; all else is unknown.

    A 503 too: it may come from the ingress after the service had done the work.
    """
    if answer.status == _CREATED and answer.identity:
        return Entry(key, mark, State.ACKNOWLEDGED, answer.identity, resolved=resolved)
    why = answer.error or f"status {answer.status}"
    if answer.status in _CLIENT_ERRORS and answer.status not in _UNSETTLED:
        return Entry(key, mark, State.REFUSED, why=why, resolved=resolved)
    return Entry(key, mark, State.UNKNOWN, why=why)


class Ledger:
    """Writers in the background of a drill.

    Use it as a context: writing begins with it and ends with it, also if the drill raises. Then `close_book`.

    Args:
        connect: makes a client; called once in each writer's thread, which is where a network namespace is entered.
        journal: path of the journal; a new file for each ledger.
        rate: writes per second of all writers together.
        writers: threads; each waits for its own answers.
        clock: waits between tries.
        run: prefix of keys and marks; made up if empty.
    """

    def __init__(
        self,
        connect: Callable[[], Records],
        journal: Path,
        *,
        rate: float,
        clock: Clock,
        writers: int = 4,
        run: str = "",
    ) -> None:
        if rate <= 0 or writers < 1:
            raise ValueError(f"rate is {rate} and writers is {writers}; both must be more than 0")
        if journal.exists():
            raise ValueError(f"journal {journal} exists; each ledger needs a file of its own")
        self.run = run or secrets.token_hex(6)
        self._connect = connect
        self._clock = clock
        self._journal = Journal(journal, lambda: clock.now().timestamp())
        self._pause = writers / rate
        self._stop = threading.Event()
        self._faults: list[str] = []
        self._threads = [
            threading.Thread(target=self._write, args=(index,), name=f"ledger-{index}") for index in range(writers)
        ]

    def __enter__(self) -> Self:
        """Begin to write."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop writing; answers on their way are awaited."""
        self.stop()

    def stop(self) -> None:
        """Stop writing; safe to call twice."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def written(self) -> int:
        """Writes so far."""
        return len(latest(self._journal.entries()))

    def close_book(self, *, resolve_within: float = 60.0) -> Finding:
        """Ask again where the outcome is unknown, read everything back, and judge.

        Raises:
            RuntimeError: a writer broke (its own fault, not the service's), so the ledger proves nothing.
        """
        self.stop()
        if self._faults:
            raise RuntimeError(f"the ledger broke: {'; '.join(self._faults)}")
        with contextlib.closing(self._connect()) as records:
            self._resolve(records, resolve_within)
            return read_back(self._journal.entries(), records, self._prefix, self._clock)

    @property
    def _prefix(self) -> str:
        return f"ledger-{self.run}-"

    def _write(self, index: int) -> None:
        try:
            with contextlib.closing(self._connect()) as records:
                number = 0
                while not self._stop.is_set():
                    key, mark = f"{self.run}-{index}-{number}", f"{self._prefix}{index}-{number}@example.test"
                    number += 1
                    self._journal.add(Entry(key, mark, State.SENT))
                    self._journal.add(settle(key, mark, records.create(key, mark)))
                    self._stop.wait(self._pause)
        except Exception as error:  # noqa: BLE001 -- a thread must not die in silence; close_book says it
            self._faults.append(f"{type(error).__name__}: {error}")

    def _resolve(self, records: Records, within: float) -> None:
        """The same key again: what was done is answered as done, what was not is done now. Either way it is settled."""
        deadline = self._clock.steady() + within
        known = latest(self._journal.entries()).values()
        pending = [entry for entry in known if entry.state in {State.UNKNOWN, State.SENT}]
        while pending and self._clock.steady() < deadline:
            still: list[Entry] = []
            for entry in pending:
                settled = settle(entry.key, entry.mark, records.create(entry.key, entry.mark), resolved=True)
                if settled.state is State.UNKNOWN:
                    still.append(entry)
                else:
                    self._journal.add(settled)
            pending = still
            if pending:
                self._clock.wait(_TRY_EVERY)


def read_back(entries: Iterable[Entry], records: Records, prefix: str, clock: Clock) -> Finding:
    """Read every acknowledged record by its id and in the list, and judge; replicas get ten seconds to catch up."""
    known = tuple(entries)
    promised = [entry for entry in latest(known).values() if entry.state is State.ACKNOWLEDGED]
    found: set[str] = set()
    deadline = clock.steady() + _CATCH_UP_SECONDS
    while True:
        missing = [entry for entry in promised if entry.identity not in found]
        found.update(entry.identity for entry in missing if records.exists(entry.identity, entry.mark))
        marks = list(records.marks(prefix))
        finding = judge(known, marks, found)
        if not finding.lost or clock.steady() >= deadline:
            return finding
        clock.wait(_TRY_EVERY)


def control(connect: Callable[[], Records], clock: Clock, *, writes: int = 3) -> Finding:
    """The negative control: a few writes, one of them then discarded behind the ledger's back.

    Returns:
        A finding that names exactly one lost write if the ledger is worth anything.
    """
    run = secrets.token_hex(6)
    prefix = f"ledger-control-{run}-"
    with contextlib.closing(connect()) as records:
        entries = [
            settle(f"{run}-{n}", f"{prefix}{n}@example.test", records.create(f"{run}-{n}", f"{prefix}{n}@example.test"))
            for n in range(writes)
        ]
        kept = [entry for entry in entries if entry.state is State.ACKNOWLEDGED]
        if len(kept) < writes:
            raise RuntimeError(
                f"only {len(kept)} of {writes} writes of the control were acknowledged; nothing to discard"
            )
        records.delete(kept[0].identity)
        return read_back(entries, records, prefix, clock)
