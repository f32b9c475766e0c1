"""wrk, the generator: C and precomputed requests, so that the server is what is measured (docs/adr/0080)."""

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from loadtests.bench.machine import on_core

_SCRIPT = Path(__file__).with_name("requests.lua")
_RESULT = "RESULT "


class WrkError(Exception):
    """wrk is missing, or did not do what it was told."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What one run of wrk saw.

    Attributes:
        requests: answered ones.
        seconds: that it took.
        wrong: answers of a status from 400 on, and errors of sockets.
        p50_ms: latency that half of the answers did not exceed.
        p99_ms: the same for 99 of a hundred.
        busy: share of its core that the generator used itself.
    """

    requests: int
    seconds: float
    wrong: int
    p50_ms: float
    p99_ms: float
    busy: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def find() -> str:
    """Return the program.

    Raises:
        WrkError: it is not there.
    """
    found = shutil.which("wrk")
    if found is None:
        raise WrkError("no `wrk` in PATH; `make setup-test` installs it (Debian: apt-get install wrk)")
    return found


def shoot(
    url: str, targets: Sequence[str], tokens: Sequence[str], *, seconds: int, connections: int, core: int
) -> Shot:
    """Send requests to a server for a while, over connections that stay open, each as soon as its last is answered.

    Args:
        url: of the server.
        targets: method and path of each request (`GET /v1/users/1`), sent in turn, all of one method.
        tokens: of those who ask, in turn.
        seconds: how long.
        connections: how many, so as many requests at once.
        core: where wrk runs.

    Raises:
        WrkError: it is missing, or failed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        files = [Path(folder) / "targets", Path(folder) / "tokens"]
        for path, lines in zip(files, (targets, tokens), strict=True):
            path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        command = [
            *(find(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT), url, "--"),
            *map(str, files),
            uuid4().hex,
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with on_core(core):
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return parse(ran.stdout, used) if ran.returncode == 0 else _refuse(ran.stdout + ran.stderr)


def parse(printed: str, used: float) -> Shot:
    """Return what wrk printed, by the script's last line.

    Args:
        printed: all of it.
        used: seconds of CPU that it used.

    Raises:
        WrkError: there is no such line, or nothing was answered.
    """
    line = next((it for it in printed.splitlines() if it.startswith(_RESULT)), None)
    if line is None:
        return _refuse(printed)
    said = json.loads(line.removeprefix(_RESULT))
    seconds = said["microseconds"] / 1e6
    if not said["requests"]:
        return _refuse(printed)
    return Shot(
        requests=said["requests"],
        seconds=seconds,
        wrong=said["statuses"] + said["sockets"],
        p50_ms=said["p50"] / 1e3,
        p99_ms=said["p99"] / 1e3,
        busy=used / seconds,
    )


def _refuse(printed: str) -> Shot:
    raise WrkError(f"wrk measured nothing; it said: {printed.strip()[-500:] or 'nothing'}")
