"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
# "expand": the previous version of the code still runs on the result. "contract": it does not any more.
PHASE = "expand"
# Rules of DDL that this breaks -> why it may (docs/reference/migrations.md); delete it if there are none.
ACCEPTED: dict[str, str] = {}


def upgrade() -> None:
    """Apply."""
    ${upgrades if upgrades else ""}
