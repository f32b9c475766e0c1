"""A real Postgres for the whole session, and what stands on it. The helpers are plain modules beside this file."""

import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from redis import Redis
from sentry_sdk.transport import Transport

from app.core import reports

sys.path.insert(0, str(Path(__file__).parent))

from app_answers import KeyedClient
from app_poolers import Pooler, pooler_before
from app_process import Service, ask_until, process_environment, running_service
from app_servers import (
    READER,
    STANDING,
    PostgresServer,
    RedisServer,
    copy_of_template,
    postgres_server,
    replica_of,
    session_server,
)
from app_settings import make_settings, make_signing_key, migrate
from ports import free_port

from app.core.database import Database
from app.core.parts import parts_of
from app.core.settings import Settings
from app.factory import create_app

#: Modules whose tests run a second time, through a pooler. Mutants are tried without: it costs time and tells no more.
_POOLED_TOO = {"test_users_api", "test_domain_api", "test_exports_api"} if STANDING not in os.environ else set[str]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__ in _POOLED_TOO and "settings" in metafunc.fixturenames:
        metafunc.parametrize("settings", ["direct", "pooled"], indirect=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("tests/app needs a real Redis: no `redis-server` in PATH (Debian: apt-get install redis-server)")
    server = RedisServer(binary, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_file(redis_server: RedisServer, tmp_path: Path) -> Path:
    """A file with the address of a Redis that is empty."""
    path = tmp_path / "redis-url"
    path.write_text(redis_server.url)
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return path


@pytest.fixture(autouse=True)
def _keyed_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flask, "test_client_class", KeyedClient)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with session_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with the current schema."""
    if STANDING in os.environ:
        with copy_of_template(postgres) as name:
            yield name
    else:
        migrate(postgres, "payload", tmp_path_factory.mktemp("migrate"))
        yield "payload"


@pytest.fixture(scope="session")
def pooler(postgres: PostgresServer) -> Iterator[Pooler]:
    with pooler_before(postgres) as made:
        yield made


@pytest.fixture
def settings(
    postgres: PostgresServer, migrated: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """Settings over the migrated database, whose tables are emptied afterwards; through a pooler as `pooled`."""
    pooled = getattr(request, "param", "direct") == "pooled"
    server = request.getfixturevalue("pooler") if pooled else postgres
    yield make_settings(
        tmp_path,
        server.url(migrated),
        replica_url=server.url(migrated, READER),
        colour="blue",
        version="1.2.3",
        threads=4,
        pooled=pooled,
    )
    with postgres.admin(migrated) as admin:
        tables = admin.execute(
            "SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'applied_migrations')"
        ).fetchone()
        assert tables is not None
        admin.execute(f"TRUNCATE {tables[0]}")
        months = admin.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_log'::regclass"
            " AND inhrelid <> 'audit_log_rest'::regclass"
        ).fetchall()
        for (month,) in months:  # made by workers and by `app.maintain`
            admin.execute(f"DROP TABLE {month}")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    made = Database(settings)
    yield made
    made.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "signing.pem"
    path.write_text(make_signing_key())
    return path


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    """A client of an application over the migrated database."""
    app = create_app(settings, CollectorRegistry())
    yield app.test_client()
    parts_of(app).database.close()


@pytest.fixture
def serve(settings: Settings) -> Callable[..., AbstractContextManager[Service]]:
    """Runs the real process over the migrated database, with these variables."""
    return functools.partial(running_service, settings)


@pytest.fixture(scope="session")
def serve_with() -> Any:
    """The same over any settings."""
    return running_service


# Tests get these functions as fixtures, whatever folder they are in.
@pytest.fixture(scope="session")
def server_factory() -> Any:
    return postgres_server


@pytest.fixture(scope="session")
def replica_factory() -> Any:
    return replica_of


@pytest.fixture(scope="session")
def pooler_factory() -> Any:
    return pooler_before


@pytest.fixture(scope="session")
def migrate_on() -> Any:
    return migrate


@pytest.fixture(scope="session")
def settings_for() -> Any:
    return make_settings


@pytest.fixture(scope="session")
def new_signing_key() -> Any:
    return make_signing_key


@pytest.fixture(scope="session")
def environment() -> Any:
    return process_environment


@pytest.fixture(scope="session")
def wait_until() -> Any:
    return ask_until


@pytest.fixture
def sent(settings: Settings, tmp_path: Path) -> Iterator[list[Any]]:
    """What Sentry would get."""
    events: list[Any] = []

    class Recorder(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            events.extend(item.get_event() for item in envelope.items)

        def flush(self, timeout: float, callback: Any = None) -> None:
            """Nothing waits."""

    path = tmp_path / "dsn"
    path.write_text("https://public@errors.example.test/1")
    reports.configure(settings.model_copy(update={"sentry_dsn_file": path}), Recorder)
    yield events
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
