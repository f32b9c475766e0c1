"""JSON log lines to stdout with Elastic Common Schema names, one line an event."""

import logging
import sys
from logging.config import dictConfig
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter
from typing_extensions import override

from app.core import trace
from app.core.settings import Settings

ECS_VERSION = "8.17.0"


class EcsFormatter(OrjsonFormatter):
    """Renames Python's log record fields to ECS ones and adds what is the same on every line."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            "%(message)s %(levelname)s %(name)s",
            rename_fields={"levelname": "log.level", "name": "log.logger", "exc_info": "error.stack_trace"},
            static_fields={
                "ecs.version": ECS_VERSION,
                "service.name": "payload",
                "service.version": settings.version,
                "service.environment": settings.environment,
                "labels.colour": settings.colour,
            },
            timestamp="@timestamp",
        )

    @override
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data["log.level"] = str(log_data["log.level"]).lower()  # ECS levels are lower case
        here = trace.current()
        if here is not None:
            log_data["trace.id"], log_data["span.id"] = here.trace_id, here.span_id
        return log_data


def configure_logs(settings: Settings) -> None:
    """Send every logger of this process through one JSON handler on stdout."""
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
