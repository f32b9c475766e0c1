"""The service as a process of its own, over a migrated database."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from ports import free_ports

from app.core.settings import Settings

ROOT = Path(__file__).parents[2]


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    api: str
    metrics: str
    key: dict[str, str]
    log: Path

    def output(self) -> list[dict[str, object]]:
        """All log lines, once the process has ended."""
        self.process.wait(timeout=30)
        return [json.loads(line) for line in self.log.read_text("utf-8").split("\n") if line]


def measured() -> dict[str, str]:
    """What a process must be told for its lines to be counted, where they are (`make coverage`)."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


def process_environment(settings: Settings, **values: str) -> dict[str, str]:
    return {
        **measured(),
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "TMPDIR": str(settings.database_url_file.parent),
        "SLIPWAY_DATABASE_URL_FILE": str(settings.database_url_file),
        "SLIPWAY_BOOTSTRAP_KEY_FILE": str(settings.bootstrap_key_file),
        "SLIPWAY_COLOUR": "green",
        "SLIPWAY_VERSION": "9.9.9",
        "SLIPWAY_THREADS": "4",
        **values,
    }


def key_of(settings: Settings) -> dict[str, str]:
    assert settings.bootstrap_key_file is not None
    return {"X-API-Key": settings.bootstrap_key_file.read_text()}


@contextmanager
def running_service(settings: Settings, **values: str) -> Iterator[Service]:
    api, metrics = free_ports(2)
    env = process_environment(settings, SLIPWAY_PORT=str(api), SLIPWAY_METRICS_PORT=str(metrics), **values)
    log = settings.database_url_file.parent / f"log-{api}"  # a pipe that nobody reads would be full soon
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "app.serve"], cwd=ROOT, env=env, stdout=out)
    try:
        made = Service(process, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{metrics}", key_of(settings), log)
        ask_until(lambda: httpx.get(f"{made.api}/readyz").status_code == 200, process)
        yield made
    finally:
        process.kill()
        process.wait()


def ask_until(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Ask until the answer is yes; the test's timeout ends a hopeless wait, a dead process ends it at once."""
    while True:
        assert process.poll() is None, "the service ended"
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)  # between two questions to another process; nothing depends on how long it is
