"""Messages say in which trace they came to be."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
PHASE = "expand"


def upgrade() -> None:
    """Apply."""
    op.add_column("messages", sa.Column("traceparent", sa.String(55)))
