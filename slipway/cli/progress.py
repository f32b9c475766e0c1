"""Telling how far a long command is: what is built or waited for, elapsed, remaining.

On a terminal the last line changes in place; elsewhere (a log) each step is a line of its own, and a line is added when
nothing was said for a while, so that a watcher never wonders whether it still lives.
"""

import sys
import threading
import time
from typing import Any, final

from rich.console import Console

from slipway.toolchain import Event, EventKind

QUIET_SECONDS = 30.0
TICK_SECONDS = 0.5
MINUTE = 60
SHOWN = 3
COMPONENT = "slipway:infra:"  # components of ours wait for their children, which are shown


@final
class Progress:
    """A running account of a command; use as a context manager.

    Args:
        console: where to print; standard error by default, as standard output is for results.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._building: dict[str, str] = {}
        self._waiting: dict[str, None] = {}
        self._doing = "starting"
        self._spoken = self._started
        self._remaining: float | None = None
        self._stop = threading.Event()
        self._status = self._console.status("") if self._console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._status:
            self._status.start()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._status:
            self._status.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def step(self, text: str) -> None:
        """Something new is being done."""
        with self._lock:
            self._waiting.clear()
            self._doing = text
            self._print(text)

    def detail(self, text: str) -> None:
        """A finer step: shown on the last line of a terminal only."""
        with self._lock:
            self._doing = text

    def build_event(self, event: Event) -> None:
        """The toolchain's account of a build."""
        with self._lock:
            self._remaining = event.remaining
            match event.kind:
                case EventKind.STARTED:
                    self._building[event.what] = event.text
                    self._print(f"building {event.what}{_left(event.remaining)}")
                case EventKind.WAITING:
                    self._print(f"{event.what} {event.text}")
                case EventKind.FINISHED:
                    self._building.pop(event.what, None)
                    self._print(f"built {event.what} in {clock(event.elapsed)}")
                case EventKind.FAILED:
                    self._building.pop(event.what, None)
                    self._print(f"[red]{event.what} failed[/red]")
                case EventKind.LINE | EventKind.CACHED:
                    pass

    def engine_event(self, event: Any) -> None:
        """Pulumi's account of a resource."""
        before = event.resource_pre_event
        after = event.res_outputs_event
        failed = event.res_op_failed_event
        with self._lock:
            if before and before.metadata.op not in ("same", "read"):
                self._waiting[before.metadata.urn] = None
            elif after and after.metadata.op not in ("same", "read"):
                self._waiting.pop(after.metadata.urn, None)
                self._print(f"  {after.metadata.op.value} {_short(after.metadata.urn)}")
            elif failed:
                self._waiting.pop(failed.metadata.urn, None)
                self._print(f"  [red]failed: {failed.metadata.op.value} {_short(failed.metadata.urn)}[/red]")

    def _print(self, text: str) -> None:
        self._spoken = time.monotonic()
        self._console.print(f"[dim]\\[{clock(self.elapsed)}][/dim] {text}", soft_wrap=True)

    def _tick(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            with self._lock:
                line = self._line()
                if self._status:
                    self._status.update(f"[dim]\\[{clock(self.elapsed)}][/dim] {line}")
                elif time.monotonic() - self._spoken > QUIET_SECONDS:
                    self._print(f"still: {line}")

    def _line(self) -> str:
        building = f" | building {', '.join(self._building)}{_left(self._remaining)}" if self._building else ""
        waiting = [_short(urn) for urn in self._waiting if COMPONENT not in urn.rpartition("$")[2]]
        shown = ", ".join(waiting[:SHOWN]) + (f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else "")
        return f"{self._doing}{': waiting for ' + shown if shown else ''}{building}"


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    return f"{int(seconds) // MINUTE}:{int(seconds) % MINUTE:02d}"


def _left(remaining: float | None) -> str:
    return f" (about {clock(remaining)} left)" if remaining else ""


def _short(urn: str) -> str:
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2].rpartition('$')[2]} {name}"
