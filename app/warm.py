"""`python -m app.warm`: fills the cache with the newest rows, so that a cold Redis does not send everybody to Postgres.

For a Redis that is new or was emptied, and for the first start with another format of what is cached.
Exit codes: 0 done, 1 error (or no cache to fill). One JSON object on stdout says how many rows were put.
"""

import argparse
import sys
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from app.core import commands
from app.core.cache import Cache, connect
from app.core.database import Database
from app.core.settings import Settings, SettingsError
from app.services.kinds import COURSES, USERS
from app.services.resources import warm


def warmed(settings: Settings, database: Database, rows: int) -> dict[str, int]:
    """Fill the cache and return how many rows of each kind were put.

    Raises:
        SettingsError: there is no cache.
        Unavailable: the database or the cache does not answer.
    """
    url_file = settings.cache_url_file or settings.redis_url_file
    if url_file is None:
        raise SettingsError("SLIPWAY_CACHE_URL_FILE: there is no cache to fill; mount its address and name the file")
    with connect(url_file, 1, settings.redis_ca_file) as client:
        cache = Cache(client, settings.environment, CollectorRegistry())
        return {f"{kind.name}s": warm(database, cache, kind, rows) for kind in (USERS, COURSES)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.warm", description=__doc__)
    parser.add_argument("--rows", type=int, default=1000, help="how many of each kind, the newest")
    given = parser.parse_args(arguments)
    return commands.run(lambda settings, database: warmed(settings, database, given.rows))


if __name__ == "__main__":
    sys.exit(main())
