"""`python -m app.work`: the worker role of the same image. `--replay-dead` gives dead messages new attempts and ends.

Exit codes: 0 stopped in order (or replayed), 1 error, 2 wrong settings.
"""

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import FrameType

import orjson
from prometheus_client import REGISTRY
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.core import metrics, redis_places, reports, spans
from app.core.database import Database
from app.core.logs import configure_logs
from app.core.secret_files import read_redis_url
from app.core.settings import Settings, SettingsError, load_settings
from app.maintain import maintain
from app.repositories.messages import replay_dead
from app.worker.handlers import handlers_for
from app.worker.loop import TROUBLE, Chore, Worker

_LOG = logging.getLogger(__name__)
_REDIS_SECONDS = 5.0  # longer than a blocking read
_MAINTENANCE_SECONDS = 3600.0
_CONNECT_SECONDS = 1.0  # a Sentinel that does not answer is passed over after that


def may_consume(settings: Settings) -> bool:
    """True if this colour's workers consume: without a switch always, else if the file names this colour."""
    switch: Path | None = settings.consume_colour_file
    try:
        return switch is None or switch.read_text("utf-8").strip() == settings.colour
    except OSError:
        return False  # not known: better late than by two versions at once


def _needed(redis_url_file: Path | None) -> Path:
    if redis_url_file is None:
        raise SettingsError("SLIPWAY_REDIS_URL_FILE: a worker needs Redis; mount its address and name the file")
    return redis_url_file


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.work", description=__doc__)
    parser.add_argument("--replay-dead", action="store_true", help="give dead messages new attempts and end")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings()
        redis_url_file = _needed(settings.redis_url_file)
    except SettingsError as error:
        sys.stderr.write(f"worker does not start, the settings are wrong:\n{error}\n")
        return 2
    configure_logs(settings)
    database = Database(settings)
    try:
        if given.replay_dead:
            return _replay(database)
        _work(settings, redis_url_file, database)
    finally:
        database.close()
    return 0


def _replay(database: Database) -> int:
    try:
        count = database.write(lambda connection: replay_dead(connection, datetime.now(UTC)))
    except TROUBLE as error:
        sys.stdout.write(orjson.dumps({"outcome": "error", "reason": str(error)}).decode() + "\n")
        return 1
    sys.stdout.write(orjson.dumps({"outcome": "done", "replayed": count}).decode() + "\n")
    return 0


def _work(settings: Settings, redis_url_file: Path, database: Database) -> None:
    stop = Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    metrics.serve(settings.metrics_port, REGISTRY)
    spans.configure(settings)
    reports.configure(settings)
    with redis_places.connect(
        read_redis_url(redis_url_file),
        settings.redis_ca_file,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),  # the worker goes round again anyway, and asks anew who is master
    ) as redis:
        worker = Worker(
            database=database,
            redis=redis,
            stream=f"payload:{settings.environment}:messages",
            name=socket.gethostname(),
            handlers=handlers_for(settings, database),
            may_consume=lambda: may_consume(settings),
            registry=REGISTRY,
            chores=[
                Chore(
                    _MAINTENANCE_SECONDS, lambda: maintain(database, datetime.now(UTC), seconds=settings.task_seconds)
                )
            ],
        )
        _LOG.info("worker started")
        try:
            worker.run(stop)
        finally:
            reports.flush()
    spans.flush()
    _LOG.info("worker stopped")


if __name__ == "__main__":
    sys.exit(main())
