"""Who is asking, and what each role may do. Pure; everything that is not listed is denied."""

from dataclasses import dataclass
from enum import StrEnum

_RESOURCES = ("users", "profiles", "posts", "courses", "enrolments", "exports")
_READ = frozenset(f"{name}:read" for name in _RESOURCES)
_WRITE = frozenset(f"{name}:write" for name in _RESOURCES)
_ADMINISTER = frozenset({"keys:read", "keys:write", "credentials:write"})

PUBLIC = "public"  # the permission of routes that need none
SELF = "self"  # the permission of routes that check the owner themselves; being authenticated is enough to enter
PERMISSIONS = _READ | _WRITE | _ADMINISTER


class Role(StrEnum):
    """What a user is."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


GRANTS = {Role.VIEWER: _READ, Role.EDITOR: _READ | _WRITE, Role.ADMIN: PERMISSIONS}


@dataclass(frozen=True)
class Principal:
    """Who is asking.

    Attributes:
        name: `user:<id>`, `key:<id>`, `key:bootstrap`, `oidc:<sub>` (external issuer) or `anonymous`; goes into the
            audit log.
        permissions: what is allowed.
    """

    name: str
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        """True if a route with this permission is open to this principal."""
        if permission == PUBLIC:
            return True
        return self != ANONYMOUS and (permission == SELF or permission in self.permissions)


ANONYMOUS = Principal("anonymous", frozenset())
