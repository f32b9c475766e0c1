"""Tables. Importing this package fills `Base.metadata`."""

from app.models.audit import AuditEntry
from app.models.base import Base, table_of
from app.models.course import Course, Enrolment
from app.models.credential import ApiKey, Credential, RefreshToken
from app.models.export import Export
from app.models.idempotency import IdempotencyKey
from app.models.message import Message
from app.models.migration import AppliedMigration
from app.models.post import Post
from app.models.user import Profile, User

__all__ = [
    "ApiKey",
    "AppliedMigration",
    "AuditEntry",
    "Base",
    "Course",
    "Credential",
    "Enrolment",
    "Export",
    "IdempotencyKey",
    "Message",
    "Post",
    "Profile",
    "RefreshToken",
    "User",
    "table_of",
]
