"""What clients send and get, as models; OpenAPI is made from these."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.http import Strict

# Postgres text cannot hold NUL, and no name needs control characters.
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Email = Annotated[
    str,
    StringConstraints(
        min_length=3, max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+$"
    ),
]


class UserDraft(Strict):
    """A user to create, or the whole of one to replace."""

    name: Name
    email: Email


class UserPatch(Strict):
    """The fields of a user to change; those not given stay."""

    name: Name = Field(default="unchanged")
    email: Email = Field(default="unchanged@example.test")


class UserView(BaseModel):
    """A user."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: UUID
    name: str
    email: str
    created_at: datetime
    updated_at: datetime


class ListQuery(Strict):
    """Which part of a list: `limit` rows after `cursor`."""

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=500)


class Health(BaseModel):
    """What a probe is told."""

    status: str


class VersionView(BaseModel):
    """Which version answers."""

    version: str
    colour: str
    environment: str
