"""Passwords that are made once and then stay: a dynamic resource, so that no further provider plugin is needed.

The password exists in the state only encrypted (`additional_secret_outputs`); nothing of it is an input.
"""

import secrets
import uuid
from typing import Any, Final, final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

#: Bytes of randomness; 32 are 43 characters, all of which may stand in a URL unquoted.
PASSWORD_BYTES: Final = 32


@final
class PasswordProvider(ResourceProvider):
    """Makes a password; never changes it."""

    serialize_as_secret_always = False  # it holds nothing, so the state can show which code made the password

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A new password of as many random bytes as asked for."""
        return CreateResult(str(uuid.uuid4()), {**props, "password": secrets.token_urlsafe(int(props["bytes"]))})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another length asks for another password; nothing else ever changes one."""
        replaces = ["bytes"] if _olds.get("bytes") != _news.get("bytes") else []
        return DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=False)


class GeneratedPassword(Resource, module="slipway", name="GeneratedPassword"):
    """A random password of letters, digits, hyphen and underscore.

    Attributes:
        password: The password, secret.
    """

    password: pulumi.Output[str]

    def __init__(self, name: str, *, length: int = PASSWORD_BYTES, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it.

        Args:
            name: Name of the resource.
            length: Bytes of randomness, at least 16.
            opts: Options of the caller.

        Raises:
            ValueError: Fewer bytes than are safe.
        """
        if length < 16:  # noqa: PLR2004  # 128 bits, below which a password can be searched for
            raise ValueError(f"the password {name!r} asks for {length} random bytes; allowed is 16 or more")
        super().__init__(
            PasswordProvider(),
            name,
            {"bytes": length, "password": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["password"])),
        )
