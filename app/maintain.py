"""What has to be done now and then: workers do it every hour, `python -m app.maintain` at once, several do it once.

Makes this and the next months' partitions of the audit log, and forgets idempotency keys too old to be
repeated, and exports that have expired.
Exit codes: 0 done, 1 error. One JSON object on stdout says what was done.
"""

import sys
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, delete, text

from app.core import commands
from app.core.database import Database
from app.models import Export, IdempotencyKey
from app.repositories.audit import make_month

_MONTHS_AHEAD = 3
_KEYS_LIVE = timedelta(hours=24)
# Whoever writes waits behind who waits for a lock: better to fail, and to be done next time.
_IMPATIENT = text("SET LOCAL lock_timeout = '2s'")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('payload.maintain'))")


def months_from(today: date) -> list[date]:
    """Return the first days of this month and of the next ones."""
    count = today.year * 12 + today.month - 1
    return [date(number // 12, number % 12 + 1, 1) for number in range(count, count + _MONTHS_AHEAD)]


def maintain(database: Database, now: datetime, *, seconds: float) -> dict[str, object]:
    """Do it, in one transaction of at most `seconds`, and return what was done."""

    def work(connection: Connection) -> dict[str, object]:
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # a request's limit; `seconds` bounds this
        connection.execute(_ALONE)  # whoever comes second finds nothing to do
        connection.execute(_IMPATIENT)
        made = [str(month) for month in months_from(now.date()) if make_month(connection, month)]
        old = delete(IdempotencyKey).where(IdempotencyKey.created_at < now - _KEYS_LIVE)
        expired = delete(Export).where(Export.expires_at < now)
        return {
            "partitions_made": made,
            "keys_forgotten": connection.execute(old).rowcount,
            "exports_forgotten": connection.execute(expired).rowcount,
        }

    return database.write(work, seconds=seconds)


def main() -> int:
    """Run the command and return the exit code."""
    return commands.run(lambda settings, database: maintain(database, datetime.now(UTC), seconds=settings.task_seconds))


if __name__ == "__main__":
    sys.exit(main())
