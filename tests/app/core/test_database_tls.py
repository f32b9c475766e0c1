"""A Postgres that shows a certificate: the service believes it for its name and its authority, and nobody else."""

import shutil
import time
from datetime import UTC, datetime

import psycopg
import pytest
from app_settings import make_settings
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core.database import make_engine
from infra import tls


@pytest.fixture
def authority(postgres, tmp_path):
    """A folder with the authority that has signed for `localhost` at the real Postgres, and with another one."""
    now = datetime.now(UTC)
    own = tls.authority("Slipway test", days=10, now=now)
    pair = tls.server(["localhost"], own, days=9, now=now)
    (tmp_path / "ca.crt").write_text(own.certificate)
    (tmp_path / "other.crt").write_text(tls.authority("Slipway test", days=10, now=now).certificate)
    for name, content in (("slipway.crt", pair.certificate), ("slipway.key", pair.private_key)):
        file = postgres.folder / "data" / name
        file.touch(mode=0o600)
        file.write_text(content)
        if postgres.user is not None:
            shutil.chown(file, postgres.user)
    with postgres.admin() as admin:
        for name, value in (("ssl_cert_file", "slipway.crt"), ("ssl_key_file", "slipway.key"), ("ssl", "on")):
            admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        admin.execute("SELECT pg_reload_conf()")
        until_encrypted(postgres)
        yield tmp_path
        for name in ("ssl", "ssl_cert_file", "ssl_key_file"):
            admin.execute(f"ALTER SYSTEM RESET {name}")
        admin.execute("SELECT pg_reload_conf()")


def until_encrypted(postgres):
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=admin dbname=postgres sslmode=require").close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "this Postgres did not begin to speak TLS"
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def encrypted(postgres, migrated, authority, monkeypatch):
    """Asks whether a connection is encrypted, as the service makes it: to a host, trusting an authority."""

    def ask(host, trusted):
        url = postgres.url(migrated).replace("127.0.0.1", host) + "?sslmode=verify-full"
        monkeypatch.setenv("PGSSLROOTCERT", str(authority / trusted))
        settings = make_settings(authority, url)
        engine = make_engine(settings.database_url_file, settings)
        try:
            with engine.connect() as connection:
                return connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar()
        finally:
            engine.dispose()

    return ask


def test_whom_the_authority_has_signed_by_the_name_that_is_dialled_is_believed(encrypted):
    assert encrypted("localhost", "ca.crt") is True


def test_another_authority_is_not_believed(encrypted):
    with pytest.raises(OperationalError, match="certificate verify failed"):
        encrypted("localhost", "other.crt")


def test_another_name_is_not_believed(encrypted):
    with pytest.raises(OperationalError, match="does not match host name"):
        encrypted("127.0.0.1", "ca.crt")


def test_without_an_authority_nobody_is_believed(encrypted):
    with pytest.raises(OperationalError, match="does not exist"):
        encrypted("localhost", "missing.crt")
