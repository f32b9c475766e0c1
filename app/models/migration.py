"""The table of applied migrations with their phase, so that an older image knows whether it may still run."""

from datetime import datetime

from sqlalchemy import DateTime, String, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class AppliedMigration(Base):
    """One applied revision."""

    __tablename__ = "applied_migrations"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)
    phase: Mapped[str] = mapped_column(String(8))
    by_version: Mapped[str] = mapped_column(String(128))
    applied_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
