"""Reading one's own writes: a record is changed again and again, and each change read back at once with its token.

Changed, not made: a service may look for what a replica does not have on the primary, but nothing tells it that what
it has is old.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from slipway.proof.faults import Fault, injected
from slipway.proof.timeline import Timeline
from slipway.proof.writer import Answer

_CREATED: Final = 201
_RATE: Final = 5.0  # changes a second: each is two requests, beside the load and its ledger
_CONTROL_CHANGES: Final = 5


class NoAnswerError(RuntimeError):
    """A read got no answer that says anything of the record."""


class OwnRecords(Protocol):
    """The service as a client sees it that reads what it has just written."""

    def create(self, key: str, mark: str) -> Answer:
        """Write a record under an idempotency key. Never raises for what the service or the network does."""
        ...

    def rename(self, identity: str, name: str) -> str:
        """Change a record's name: the token of this change, or nothing if it was not acknowledged. Never raises."""
        ...

    def name_of(self, identity: str, token: str) -> str:
        """The name that a client is told that has this token; none if empty; raises `NoAnswerError`."""
        ...

    def delete(self, identity: str) -> None:
        """Delete a record."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...


@dataclass(frozen=True, slots=True)
class OwnReads:
    """What came of it.

    Attributes:
        read: changes that were read back and answered, one way or the other.
        missed: those of them that did not show.
    """

    read: int
    missed: int


class Reader:
    """Changes and reads back in the background of a drill; a context, like the ledger.

    Args:
        connect: makes a client; called once, in the thread that uses it.
    """

    def __init__(self, connect: Callable[[], OwnRecords]) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self._read = self._missed = 0
        self._fault = ""
        self._thread = threading.Thread(target=self._work, name="own-reads")

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; an answer on its way is awaited."""
        self._stop.set()
        self._thread.join()

    def found(self) -> OwnReads:
        """What came of it; ends it.

        Raises:
            RuntimeError: the reader broke (its own fault, not the service's), so it proves nothing.
        """
        self._stop.set()
        self._thread.join()
        if self._fault:
            raise RuntimeError(f"reading one's own writes broke: {self._fault}")
        return OwnReads(self._read, self._missed)

    def _work(self) -> None:
        try:
            with own_record(self._connect) as (records, identity):
                number = 0
                while not self._stop.wait(1 / _RATE):
                    self._once(records, identity, f"Own {number}")
                    number += 1
        except Exception as error:  # noqa: BLE001 -- a thread must not die in silence; `found` says it
            self._fault = f"{type(error).__name__}: {error}"

    def _once(self, records: OwnRecords, identity: str, name: str) -> None:
        token = records.rename(identity, name)
        if not token:
            return
        try:
            shown = records.name_of(identity, token)
        except NoAnswerError:  # the load counts those
            return
        self._read += 1
        self._missed += shown != name


def read_without_token(connect: Callable[[], OwnRecords], fault: Fault, timeline: Timeline) -> OwnReads:
    """The negative control: under a fault that keeps replicas back, reads without the token must miss.

    Raises:
        UnhealedError: the fault could not be healed.
    """
    read = missed = 0
    with own_record(connect) as (records, identity), injected(fault, timeline):
        for number in range(_CONTROL_CHANGES):
            name = f"Own without token {number}"
            if records.rename(identity, name):
                read += 1
                missed += records.name_of(identity, "") != name
    return OwnReads(read, missed)


@contextlib.contextmanager
def own_record(connect: Callable[[], OwnRecords]) -> Generator[tuple[OwnRecords, str]]:
    """A client and a record of its own, deleted in the end.

    Raises:
        RuntimeError: the record was not made.
    """
    mark = f"own-{secrets.token_hex(6)}"
    with contextlib.closing(connect()) as records:
        made = records.create(mark, f"{mark}@example.test")
        if made.status != _CREATED:
            raise RuntimeError(f"no record of its own: {made.error or f'status {made.status}'}")
        try:
            yield records, made.identity
        finally:
            records.delete(made.identity)
