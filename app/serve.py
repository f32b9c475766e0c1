"""`python -m app.serve`: gunicorn with threads, an orderly stop, and metrics on a second port."""

import logging
import os
import sys
import tempfile

from app.core.faults import arm_crash
from app.core.logs import configure_logs
from app.core.settings import SettingsError, load_settings

_MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def main() -> int:
    """Serve until SIGTERM.

    Returns:
        2 if the settings are wrong; else the process ends inside gunicorn, with 0 after an orderly stop.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"payload does not start, the settings are wrong:\n{error}\n")
        return 2
    configure_logs(settings)
    logging.captureWarnings(True)
    arm_crash(settings.faults)
    if settings.workers > 1:
        # A new folder for each start: files of processes that are gone would be counted again.
        os.environ[_MULTIPROCESS_FOLDER] = tempfile.mkdtemp(prefix="payload-metrics-")
    # prometheus_client decides at import, by that variable, whether its numbers are shared between processes.
    from app.server import PayloadServer  # noqa: PLC0415

    PayloadServer(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
