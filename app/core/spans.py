"""Whether spans are recorded. Only then is their library loaded: it costs more than the rest of the start."""

import sys

from app.core.settings import Settings

_MODULE = "app.core.tracing"


def configure(settings: Settings) -> None:
    """Start recording; without an endpoint in the settings nothing is loaded. Call after a fork."""
    if settings.traces_endpoint is not None:
        from app.core import tracing  # noqa: PLC0415 - see above

        tracing.start(settings)


def flush() -> None:
    """Send what waits; call before the process ends."""
    if _MODULE in sys.modules:
        sys.modules[_MODULE].stop()
