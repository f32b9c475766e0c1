"""Tables. Importing this package fills `Base.metadata`."""

from app.models.base import Base
from app.models.idempotency import IdempotencyKey
from app.models.migration import AppliedMigration
from app.models.user import User

__all__ = ["AppliedMigration", "Base", "IdempotencyKey", "User"]
