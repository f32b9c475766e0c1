"""The servers that are compared: the payload as a stack of production runs it, and the two baselines."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from app_process import ROOT, Service, ask_until, running_service
from ports import free_port

from app.core.principals import Role
from app.core.settings import Settings
from app.core.tokens import Keyring
from app.seed import same_id
from infra.settings import ServiceSettings

USERS, READ_ROWS = 400, 1000
#: What is cached is what many ask for.
HOT_ROWS = 100
#: As a service's stack has them when it says nothing (infra/settings/service.py).
WORKERS, THREADS = ServiceSettings().workers, ServiceSettings().threads
# Nobody listens there: an SDK that is switched on, and has nothing to tell.
_SENTRY = "http://public@127.0.0.1:9/1"


def production(settings: Settings, redis_url: str, key_file: Path) -> dict[str, str]:
    """The variables of the payload, with all that production can have switched on, and limits as they are."""
    folder = settings.database_url_file.parent
    secrets = {"redis-url": redis_url, "sentry-dsn": _SENTRY}
    for name, text in secrets.items():
        (folder / name).write_text(text)
    return {
        "SLIPWAY_ENVIRONMENT": "production",
        "SLIPWAY_WORKERS": str(WORKERS),
        "SLIPWAY_THREADS": str(THREADS),
        "SLIPWAY_TRUSTED_PROXIES": "1",
        "SLIPWAY_REPLICA_URL_FILE": str(settings.replica_url_file),
        "SLIPWAY_REDIS_URL_FILE": str(folder / "redis-url"),
        "SLIPWAY_SENTRY_DSN_FILE": str(folder / "sentry-dsn"),
        "SLIPWAY_SIGNING_KEY_FILE": str(key_file),
    }


def tokens(key_file: Path) -> list[str]:
    """A token for each of so many users that none of them reaches a limit."""
    ring, now = Keyring.from_file(key_file), datetime.now(UTC)
    return [ring.issue(same_id("user", number), Role.EDITOR, now) for number in range(USERS)]


@contextmanager
def baseline(name: str, settings: Settings, redis_url: str, key_file: Path) -> Iterator[Service]:
    """A baseline, behind gunicorn with the payload's workers, threads and keep-alive."""
    folder = settings.database_url_file.parent
    port, shared, log = free_port(), folder / f"metrics-{name}", folder / f"log-{name}"
    shared.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "PROMETHEUS_MULTIPROC_DIR": str(shared),
        "BENCH_DATABASE_URL": settings.database_url_file.read_text(),
        "BENCH_REDIS_URL": redis_url,
        "BENCH_SIGNING_KEY_FILE": str(key_file),
        "BENCH_SENTRY_DSN": _SENTRY,
        "BENCH_THREADS": str(THREADS),
    }
    command = [
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--no-control-socket"),
        *("--workers", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "65"),
        *("--bind", f"127.0.0.1:{port}", "--log-level", "warning", f"loadtests.bench.baselines.{name}:create_app()"),
    ]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out)
    try:
        ask_until(lambda: httpx.get(f"{url}/version").status_code == 200, process)
        yield Service(process, url, "", {}, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def servers(settings: Settings, redis_url: str, key_file: Path) -> Iterator[dict[str, Service]]:
    """All of them, by name."""
    with ExitStack() as stack:
        found: dict[str, Any] = {
            "payload": stack.enter_context(running_service(settings, **production(settings, redis_url, key_file)))
        }
        for name in ("bare", "naive"):
            found[name] = stack.enter_context(baseline(name, settings, redis_url, key_file))
        yield found
