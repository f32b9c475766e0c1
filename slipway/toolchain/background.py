"""Work in threads that a Ctrl-C in the main thread ends."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

_LAST_SECONDS = 15.0


def side_by_side(tasks: Sequence[Callable[[], object]], workers: int, stop: Callable[[], None]) -> None:
    """Runs tasks in their order, several at once.

    After a task has failed no other is begun, those that run are let finish (their results are kept in the cache), and
    the first failure is raised. An interrupt of the waiting thread calls `stop` and is raised.

    Args:
        tasks: What to run.
        workers: How many at once.
        stop: Ends what runs.
    """
    waiting = deque(tasks)
    failures: list[BaseException] = []

    def take() -> Callable[[], object] | None:
        with suppress(IndexError):
            return waiting.popleft()
        return None

    def work(done: threading.Event) -> None:
        try:
            while not failures and (task := take()) is not None:
                task()
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            failures.append(error)
        finally:
            done.set()

    # Events, because a `join` that is interrupted takes the thread for ended (Python 3.11). Daemons, because the
    # interpreter must be able to end while one waits.
    ends = [threading.Event() for _ in range(min(workers, len(tasks)))]
    for done in ends:
        threading.Thread(target=work, args=[done], daemon=True).start()
    try:
        for done in ends:
            done.wait()
    except BaseException:
        waiting.clear()
        stop()
        for done in ends:  # each removes what it left half made
            done.wait(_LAST_SECONDS)
        raise
    if failures:
        raise failures[0]


class Background:
    """Work that goes on while the caller does something else.

    Args:
        work: What to do.
        stop: Ends it.
    """

    def __init__(self, work: Callable[[], object], stop: Callable[[], None]) -> None:
        self._failure: BaseException | None = None
        self._stop = stop

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  raised again in `wait`
                self._failure = error

        self._thread = threading.Thread(target=guarded, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it still goes on."""
        return self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end.

        Args:
            timeout: Seconds at most; None waits as long as it takes.

        Returns:
            Whether it has ended.

        Raises:
            BaseException: What the work raised.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            raise self._failure
        return True

    def cancel(self) -> None:
        """Ends it; what is complete stays in the cache."""
        self._stop()
        self._thread.join()
