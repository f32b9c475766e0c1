"""The certificate authority that a stack names, read from its files and looked at before anything is made."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pulumi
from pydantic import BaseModel, Field

from infra import tls
from infra.model import MODEL

#: Relative paths in settings start here: a stack is brought up from more than one folder.
REPOSITORY: Final = Path(__file__).resolve().parents[1]


class AuthoritySettings(BaseModel):
    """A certificate authority of yours, which signs instead of one that the platform makes."""

    model_config = MODEL

    certificate_file: Path = Field(
        description="Its certificate in PEM, followed by those up to the root if it is not one itself; a relative path "
        "starts at the repository's root."
    )
    private_key_file: Path = Field(
        description="Its key in PEM, without a passphrase. Each `up` reads it; the state holds it encrypted."
    )


class AuthorityError(pulumi.RunError):
    """An authority cannot be used; the engine shows the message as it stands."""


def read(settings: AuthoritySettings) -> tls.KeyPair:
    """The authority's certificate and key.

    Args:
        settings: Where its files are.

    Raises:
        AuthorityError: A file cannot be read, or what is in them cannot sign.
    """
    certificate = _text("certificateFile", REPOSITORY / settings.certificate_file)
    private_key = _text("privateKeyFile", REPOSITORY / settings.private_key_file)
    try:
        return tls.given(certificate, private_key, now=datetime.now(UTC))
    except ValueError as error:
        raise AuthorityError(f"slipway-platform:authority cannot be used: {error}") from error


def _text(key: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in PEM"
        raise AuthorityError(
            f"slipway-platform:authority.{key} is {str(path)!r}, which cannot be read: {why}"
        ) from None
