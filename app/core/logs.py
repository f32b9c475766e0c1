"""JSON log lines to stdout with Elastic Common Schema names, one line an event."""

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.config import dictConfig
from typing import Any

import orjson
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter
from typing_extensions import override

from app.core import trace
from app.core.settings import Settings

ECS_VERSION = "8.17.0"
_LEVELS = {number: logging.getLevelName(number).lower() for number in (10, 20, 30, 40, 50)}  # ECS has lower case


_RESERVED = frozenset((*RESERVED_ATTRS, "message", "asctime"))


class EcsFormatter(OrjsonFormatter):
    """Renames Python's log record fields to ECS ones and adds what is the same on every line."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            "%(message)s %(levelname)s %(name)s",
            rename_fields={"levelname": "log.level", "name": "log.logger", "exc_info": "error.stack_trace"},
            static_fields=_same(settings),
            timestamp="@timestamp",
        )

    @override
    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        # What the library does field by field, for every request: here in one go.
        log_data["message"] = record.message
        log_data["log.level"] = _LEVELS.get(record.levelno) or record.levelname.lower()
        log_data["log.logger"] = record.name
        log_data.update(self.static_fields)
        if message_dict:
            log_data.update((self.rename_fields.get(name, name), value) for name, value in message_dict.items())
        log_data.update(item for item in vars(record).items() if item[0] not in _RESERVED)
        log_data["@timestamp"] = datetime.fromtimestamp(record.created, tz=UTC)
        _add_trace(log_data)


class AccessLog:
    """One line for each request, like any other line, without what `logging` does for each: nobody else handles it."""

    def __init__(self, settings: Settings) -> None:
        self._log = logging.getLogger("app.access")
        self._same = {**_same(settings), "log.logger": self._log.name, "event.dataset": "payload.access"}

    def write(self, level: int, fields: Mapping[str, Any]) -> None:
        """Write the line of a request, if lines of that level are."""
        if not self._log.isEnabledFor(level):
            return
        line = {"message": "request", "log.level": _LEVELS[level], **self._same, **fields}
        line["@timestamp"] = datetime.now(UTC)
        _add_trace(line)
        # In one piece, as the handler does it: lines of several threads must not mix.
        out = sys.stdout.buffer
        out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        out.flush()


def _same(settings: Settings) -> dict[str, str]:
    """What is the same on every line."""
    return {
        "ecs.version": ECS_VERSION,
        "service.name": "payload",
        "service.version": settings.version,
        "service.environment": settings.environment,
        "labels.colour": settings.colour,
    }


def _add_trace(line: dict[str, Any]) -> None:
    here = trace.current()
    if here is not None:
        line["trace.id"], line["span.id"] = here.trace_id, here.span_id


def configure_logs(settings: Settings) -> None:
    """Send every logger of this process through one JSON handler on stdout."""
    # Asked of the system for each line, and in none.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"ecs": {"()": EcsFormatter, "settings": settings}},
            "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "ecs"}},
            "root": {"level": settings.log_level, "handlers": ["stdout"]},
            # Chatter of libraries that adds nothing to our own lines.
            "loggers": {"werkzeug": {"level": logging.WARNING}, "alembic": {"level": logging.WARNING}},
        }
    )
