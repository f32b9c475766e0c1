"""Profiles, posts, courses, enrolments, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
PHASE = "expand"
ACCEPTED = {"require-concurrent-index-creation": "came before the first release: no table of users had many rows"}

_NEWEST_FIRST = [sa.text("created_at DESC"), sa.text("id DESC")]


def _moment(name: str, *, key: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, primary_key=key)


def upgrade() -> None:
    """Apply."""
    op.create_index("users_name_id_index", "users", ["name", "id"])
    op.create_table(
        "profiles",
        sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("bio", sa.Text, nullable=False),
        sa.Column("website", sa.String(200)),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("updated_at"),
    )
    op.create_table(
        "posts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("author_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
    )
    op.create_index("posts_created_at_id_index", "posts", _NEWEST_FIRST)
    op.create_index("posts_author_id_created_at_id_index", "posts", ["author_id", *_NEWEST_FIRST])
    op.create_index("posts_title_created_at_id_index", "posts", ["title", "created_at", "id"])
    op.create_table(
        "courses",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("seats", sa.Integer, nullable=False),
        sa.Column("seats_taken", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.CheckConstraint("seats_taken BETWEEN 0 AND seats", name=op.f("courses_seats_check")),
    )
    op.create_index("courses_created_at_id_index", "courses", _NEWEST_FIRST)
    op.create_index("courses_title_id_index", "courses", ["title", "id"])
    op.create_table(
        "enrolments",
        sa.Column("course_id", sa.Uuid, sa.ForeignKey("courses.id"), primary_key=True),
        sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id"), primary_key=True),
        _moment("created_at"),
    )
    op.create_index("enrolments_user_id_course_id_index", "enrolments", ["user_id", "course_id"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid, primary_key=True),
        _moment("at", key=True),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("client_ip", sa.String(45)),
        sa.Column("request_id", sa.String(64)),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("audit_log_subject_at_index", "audit_log", ["subject", "at"])
    # Months are made by `app.maintain`; until it has run, and if it fails to, nothing is refused.
    op.execute("CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT")
