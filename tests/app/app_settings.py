"""Settings as the environment would give them, over databases with the current schema."""

from pathlib import Path
from typing import Any

from app_servers import OWNER, PostgresServer, make_database
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.core.database import Database
from app.core.settings import Settings
from app.migrate import Command, run

KEY = "a-key-that-opens-everything-in-tests-only"


def make_settings(folder: Path, url: str, *, replica_url: str | None = None, **values: Any) -> Settings:
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
    return Settings(database_url_file=primary, **values)


def migrate(server: PostgresServer, name: str, folder: Path, **values: Any) -> Settings:
    """Make a database with the current schema, as its owner, and return settings for who serves from it."""
    make_database(server, name)
    owners = make_settings(folder, server.url(name, OWNER), **values)
    database = Database(owners)
    run(Command.EXPAND, database, owners)
    database.close()
    return make_settings(folder, server.url(name), **values)


def make_signing_key() -> str:
    """A key for tokens, in PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
