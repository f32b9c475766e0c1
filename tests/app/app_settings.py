"""Settings as the environment would give them, over databases with the current schema."""

from pathlib import Path
from typing import Any

from app_servers import PostgresServer, make_database
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.core.database import Database
from app.core.settings import Settings
from app.migrate import Command, run

KEY = "a-key-that-opens-everything-in-tests-only"


def make_settings(
    folder: Path, url: str, *, replica_url: str | None = None, direct_url: str | None = None, **values: Any
) -> Settings:
    """Settings as the environment would give them, with the addresses in files."""
    primary = folder / "database-url"
    primary.write_text(url)
    key = folder / "bootstrap-key"
    key.write_text(KEY)
    values.setdefault("bootstrap_key_file", key)
    values.setdefault("primary_seconds", 0)  # what waits for a primary says so
    if replica_url is not None:
        replica = folder / "replica-url"
        replica.write_text(replica_url)
        values["replica_url_file"] = replica
    if direct_url is not None:
        direct = folder / "direct-url"
        direct.write_text(direct_url)
        values["direct_url_file"] = direct
    return Settings(database_url_file=primary, **values)


def migrate(server: PostgresServer, name: str, folder: Path, **values: Any) -> Settings:
    """Make a database with the current schema and return settings for it."""
    make_database(server, name)
    settings = make_settings(folder, server.url(name), **values)
    database = Database(settings)
    run(Command.EXPAND, database, settings)
    database.close()
    return settings


def make_signing_key() -> str:
    """A key for tokens, in PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
