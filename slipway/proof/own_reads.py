"""Reading one's own writes: each write is read back at once, with the token that its answer carried."""

import contextlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from slipway.proof.writer import Answer

_CREATED: Final = 201
_RATE: Final = 5.0  # writes a second: each is two requests, beside the load and its ledger
_CONTROL_WRITES: Final = 5


class NoAnswerError(RuntimeError):
    """A read got no answer that says anything of the record."""


class OwnRecords(Protocol):
    """The service as a client sees it that reads what it has just written."""

    def create(self, key: str, mark: str) -> Answer:
        """Write a record under an idempotency key. Never raises for what the service or the network does."""
        ...

    def sees(self, identity: str, token: str) -> bool:
        """Whether the record is there for a client that has this token; none if empty; raises `NoAnswerError`."""
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
        read: writes that were read back and answered, one way or the other.
        missed: those of them that were not there.
    """

    read: int
    missed: int


class Reader:
    """Writes and reads back in the background of a drill; a context, like the ledger.

    Args:
        connect: makes a client; called once, in the thread that uses it.
    """

    def __init__(self, connect: Callable[[], OwnRecords]) -> None:
        self._connect = connect
        self._run = secrets.token_hex(6)
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
            with contextlib.closing(self._connect()) as records:
                number = 0
                while not self._stop.wait(1 / _RATE):
                    self._once(records, number)
                    number += 1
        except Exception as error:  # noqa: BLE001 -- a thread must not die in silence; `found` says it
            self._fault = f"{type(error).__name__}: {error}"

    def _once(self, records: OwnRecords, number: int) -> None:
        answer = records.create(f"own-{self._run}-{number}", f"own-{self._run}-{number}@example.test")
        if answer.status != _CREATED or not answer.token:
            return
        try:
            seen = records.sees(answer.identity, answer.token)
        except NoAnswerError:  # the load counts those
            return
        self._read += 1
        self._missed += not seen


def read_without_token(connect: Callable[[], OwnRecords]) -> OwnReads:
    """The negative control, while replicas stand still: without the token some reads must miss.

    The records are deleted again.
    """
    run, missed, made = secrets.token_hex(6), 0, list[str]()
    with contextlib.closing(connect()) as records:
        for number in range(_CONTROL_WRITES):
            answer = records.create(f"own-control-{run}-{number}", f"own-control-{run}-{number}@example.test")
            if answer.status == _CREATED:
                made.append(answer.identity)
                missed += not records.sees(answer.identity, "")
        for identity in made:
            records.delete(identity)
    return OwnReads(len(made), missed)
