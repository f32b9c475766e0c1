"""Who did what, when, from where; append-only, one partition a month."""

from typing import Any, ClassVar

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identifier, Line, Moment


class AuditEntry(Base):
    """One sensitive act, written in the transaction of the act itself."""

    __tablename__ = "audit_log"

    id: Mapped[Identifier]
    # A partitioned table's primary key must contain the partition's column.
    at: Mapped[Moment] = mapped_column(primary_key=True)
    actor: Mapped[Line]
    action: Mapped[Line]
    subject: Mapped[Line]
    client_ip: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))

    __table_args__: ClassVar[Any] = {"postgresql_partition_by": "RANGE (at)"}


Index("audit_log_subject_at_index", AuditEntry.subject, AuditEntry.at)
