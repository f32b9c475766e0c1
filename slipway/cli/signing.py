"""The keys that sign and verify, from the environment: on a command line all could read them."""

import os
from typing import Final

import click

KEY: Final = "SLIPWAY_SIGNING_KEY"
PUBLIC_KEY: Final = "SLIPWAY_SIGNING_PUBLIC_KEY"


def private_key() -> bytes:
    """The key that signs."""
    return _given(KEY, "the private key in PEM (`openssl genpkey -algorithm ed25519`)")


def public_key() -> bytes:
    """The key by which others verify."""
    return _given(PUBLIC_KEY, "the public key in PEM (`openssl pkey -pubout`)")


def _given(name: str, what: str) -> bytes:
    value = os.environ.get(name)
    if not value:
        raise click.UsageError(f"{name} is not set: {what}")
    return value.encode()
