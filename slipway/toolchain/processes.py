"""Runs a program whose output is followed line by line, and which never outlives the run that started it."""

import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.toolchain.errors import ToolchainError

TAIL = 25
_GRACE_SECONDS = 5.0


class CommandFailedError(ToolchainError):
    """A program ended with another status than 0.

    Attributes:
        command: What was run.
        status: Its exit status (negative: the signal).
        tail: The last lines of its output.
    """

    def __init__(self, command: Sequence[str], status: int, tail: Sequence[str]) -> None:
        self.command = tuple(command)
        self.status = status
        self.tail = tuple(tail)
        shown = "\n".join(f"    {line}" for line in tail) or "    (no output)"
        super().__init__(f"`{' '.join(command)}` ended with status {status}; its last lines:\n{shown}")


@dataclass(frozen=True)
class Command:
    """A program to run.

    Attributes:
        arguments: The program and its arguments.
        folder: Working folder; None is the caller's.
        environment: The whole environment; None is the caller's.
        log: File that receives all output; None keeps only the tail.
    """

    arguments: tuple[str, ...]
    folder: Path | None = None
    environment: Mapping[str, str] | None = None
    log: Path | None = None


def _bound(arguments: Sequence[str]) -> list[str]:
    """The command, killed by the kernel when the process that started it dies (even by kill -9)."""
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *arguments]


def stop(process: subprocess.Popen[str]) -> None:
    """Ends a process and all in its group: asks first, kills after some seconds."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue


class Children:
    """The programs that one piece of work runs now, so that another thread can end it.

    Attributes:
        ended: Set once the work was told to end; whoever waits in it gives up.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def add(self, process: subprocess.Popen[str]) -> None:
        """Registers a program; ends it at once if all were told to end before."""
        with self._lock:
            self._running.add(process)
        if self.ended.is_set():
            stop(process)

    def remove(self, process: subprocess.Popen[str]) -> None:
        """Forgets a program that has ended."""
        with self._lock:
            self._running.discard(process)

    def stop(self) -> None:
        """Ends every program, and those that are still to be added."""
        self.ended.set()
        with self._lock:
            running = list(self._running)
        for process in running:
            stop(process)


def run(command: Command, on_line: Callable[[str], None] = lambda _line: None, children: Children | None = None) -> str:
    """Runs a program to its end.

    Args:
        command: What to run.
        on_line: Called with each line of output (standard error included), without its newline.
        children: Where it is registered while it runs.

    Returns:
        All the output if there is no log file, else the tail of it.

    Raises:
        CommandFailedError: It ended with a status other than 0, or the program does not exist.
    """
    kept: deque[str] = deque(maxlen=None if command.log is None else TAIL)
    log = command.log.open("w", encoding="utf-8") if command.log is not None else None
    try:
        process = subprocess.Popen(
            _bound(command.arguments),
            cwd=command.folder,
            env=None if command.environment is None else dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches us alone; we then end the whole group
        )
        if children is not None:
            children.add(process)
        try:
            assert process.stdout is not None  # noqa: S101  stdout=PIPE makes it; this tells the type checker
            with process.stdout as output:
                for raw in output:
                    line = raw.rstrip("\n")
                    kept.append(line)
                    if log is not None:
                        log.write(raw)
                        log.flush()
                    on_line(line)
            status = process.wait()
        except BaseException:  # Ctrl-C included: nothing we started may go on
            stop(process)
            raise
        finally:
            if children is not None:
                children.remove(process)
    except FileNotFoundError as error:
        raise CommandFailedError(command.arguments, 127, [str(error)]) from error
    finally:
        if log is not None:
            log.close()
    if status:
        raise CommandFailedError(command.arguments, status, list(kept)[-TAIL:])
    return "\n".join(kept)
