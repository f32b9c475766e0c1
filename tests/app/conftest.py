"""A real Postgres for the whole session, made from the binaries of this machine."""

import functools
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app import openapi
from app.compatibility import resolved
from app.core.database import Database
from app.core.parts import parts_of
from app.core.settings import Settings
from app.factory import create_app
from app.migrate import Command, run

ROOT = Path(__file__).parents[2]
KEY = "a-key-that-opens-everything-in-tests-only"
MISSING = (
    "tests/app needs a real Postgres: no `initdb` and `postgres` in /usr/lib/postgresql/*/bin, /usr/local/bin or PATH. "
    "Install one (Debian: apt-get install postgresql)."
)


def postgres_binaries() -> Path:
    """The folder that holds initdb and postgres."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    candidates = [*folders, Path("/usr/local/bin"), *([Path(found).parent] if found else [])]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.fail(MISSING, pytrace=False)


def free_port() -> int:
    """A TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class PostgresServer:
    """One server process over one data folder."""

    binaries: Path
    folder: Path
    port: int
    user: str | None

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of Postgres; it refuses root, so root becomes another user."""
        subprocess.run(
            [str(self.binaries / program), *arguments],
            check=True,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    def start(self) -> None:
        """Start and wait until connections are accepted."""
        options = f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60"
        self.run(
            "pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-o", options
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop and wait."""
        self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.folder / "data"))

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's autocommit connection."""
        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=admin dbname={database}", autocommit=True, connect_timeout=5
        )

    def url(self, database: str) -> str:
        """The address as the service gets it."""
        return f"postgresql+psycopg://payload:only-in-tests@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A new server in a temporary folder, gone afterwards."""
    binaries = postgres_binaries()
    user = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in names), None)
        if user is None:
            pytest.fail("tests/app runs as root and finds no user `postgres` or `nobody` to run Postgres as")
    with tempfile.TemporaryDirectory(prefix="payload-postgres-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        server = PostgresServer(binaries, folder, free_port(), user)
        server.run(
            "initdb", "-D", str(folder / "data"), "-U", "admin", "--auth=trust", "-E", "UTF8", "--no-locale", "-N"
        )
        server.start()
        try:
            with server.admin() as admin:
                admin.execute("CREATE ROLE payload LOGIN PASSWORD 'only-in-tests'")
            yield server
        finally:
            server.stop("immediate")


@dataclass
class RedisServer:
    """One Redis process without files."""

    binary: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([self.binary, *options], stdout=subprocess.DEVNULL)
        while True:  # the test's timeout ends a hopeless wait
            assert self.process.poll() is None, "redis-server ended"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except ConnectionRefusedError:
                continue

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("tests/app needs a real Redis: no `redis-server` in PATH (Debian: apt-get install redis-server)")
    server = RedisServer(binary, free_port())
    server.start()
    yield server
    server.stop()


class KeyedClient(FlaskClient):
    """A client that sends the bootstrap key unless a test sends something else, and knows what it may be answered."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", None) or {})
        if not {"X-API-Key", "Authorization"} & set(headers):
            headers["X-API-Key"] = KEY
        answer = super().open(*args, headers=headers, **kwargs)
        require_documented(self.application, answer)
        return answer


@functools.cache
def api() -> Any:
    return resolved(openapi.described())


def require_documented(app: Flask, answer: TestResponse) -> None:
    """Fail if an answer is not one of those that OpenAPI lists for its route: status, headers, form, body."""
    method = "GET" if answer.request.method == "HEAD" else answer.request.method
    try:
        rule, _ = app.url_map.bind("localhost").match(answer.request.path, method, return_rule=True)
    except HTTPException:
        return
    operation = api()["paths"].get(rule.rule.replace("<uuid:", "{").replace(">", "}"), {}).get(method.lower())
    if operation is None or method == "OPTIONS":
        return
    where = f"{method} {rule.rule}"
    promised = operation["responses"].get(str(answer.status_code))
    assert promised is not None, f"{where} answered {answer.status_code}, which is not documented"
    for name, header in promised["headers"].items():
        assert not header["required"] or name in answer.headers, f"{where}, {answer.status_code}: no header {name}"
    if "content" not in promised or answer.request.method == "HEAD":
        assert answer.data == b"", f"{where}, {answer.status_code} has a body, which is not documented"
        return
    schema = promised["content"][answer.mimetype]["schema"]
    body = answer.json if answer.is_json else answer.text
    jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)


@pytest.fixture(autouse=True)
def _keyed_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flask, "test_client_class", KeyedClient)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def make_database(server: PostgresServer, name: str) -> None:
    """An empty database owned by the service's role."""
    with server.admin() as admin:
        admin.execute(f'CREATE DATABASE "{name}" OWNER payload')


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


@contextmanager
def replica_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A streaming replica of a server."""
    with tempfile.TemporaryDirectory(prefix="payload-replica-") as name:
        folder = Path(name)
        if primary.user is not None:
            shutil.chown(folder, primary.user)
        server = PostgresServer(primary.binaries, folder, free_port(), primary.user)
        source = f"host=127.0.0.1 port={primary.port} user=admin application_name=replica"
        server.run("pg_basebackup", "-D", str(folder / "data"), "-d", source, "-R", "-X", "stream", "-c", "fast")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def migrate(server: PostgresServer, name: str, folder: Path, **values: Any) -> Settings:
    """Make a database with the current schema and return settings for it."""
    make_database(server, name)
    settings = make_settings(folder, server.url(name), **values)
    database = Database(settings)
    run(Command.EXPAND, database, settings)
    database.close()
    return settings


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the current schema."""
    migrate(postgres, "payload", tmp_path_factory.mktemp("migrate"))
    return "payload"


@pytest.fixture
def settings(postgres: PostgresServer, migrated: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings over the migrated database, whose tables are emptied afterwards."""
    url = postgres.url(migrated)
    yield make_settings(tmp_path, url, replica_url=url, colour="blue", version="1.2.3", threads=4)
    with postgres.admin(migrated) as admin:
        tables = admin.execute(
            "SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'applied_migrations')"
        ).fetchone()
        assert tables is not None
        admin.execute(f"TRUNCATE {tables[0]}")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    made = Database(settings)
    yield made
    made.close()


def make_signing_key() -> str:
    """A key for tokens, in PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


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


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    api: str
    metrics: str
    key: dict[str, str]
    log: Path

    def output(self) -> list[dict[str, object]]:
        """All log lines, once the process has ended."""
        self.process.wait(timeout=30)
        return [json.loads(line) for line in self.log.read_text("utf-8").split("\n") if line]


def process_environment(settings: Settings, **values: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "TMPDIR": str(settings.database_url_file.parent),
        "SLIPWAY_DATABASE_URL_FILE": str(settings.database_url_file),
        "SLIPWAY_BOOTSTRAP_KEY_FILE": str(settings.bootstrap_key_file),
        "SLIPWAY_COLOUR": "green",
        "SLIPWAY_VERSION": "9.9.9",
        "SLIPWAY_THREADS": "4",
        **values,
    }


def key_of(settings: Settings) -> dict[str, str]:
    assert settings.bootstrap_key_file is not None
    return {"X-API-Key": settings.bootstrap_key_file.read_text()}


@contextmanager
def running_service(settings: Settings, **values: str) -> Iterator[Service]:
    api, metrics = free_port(), free_port()
    env = process_environment(settings, SLIPWAY_PORT=str(api), SLIPWAY_METRICS_PORT=str(metrics), **values)
    log = settings.database_url_file.parent / f"log-{api}"  # a pipe that nobody reads would be full soon
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "app.serve"], cwd=ROOT, env=env, stdout=out)
    try:
        made = Service(process, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{metrics}", key_of(settings), log)
        ask_until(lambda: httpx.get(f"{made.api}/readyz").status_code == 200, process)
        yield made
    finally:
        process.kill()
        process.wait()


def ask_until(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Ask until the answer is yes; the test's timeout ends a hopeless wait, a dead process ends it at once."""
    while True:
        assert process.poll() is None, "the service ended"
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)  # between two questions to another process; nothing depends on how long it is


@pytest.fixture
def serve(settings: Settings) -> Callable[..., AbstractContextManager[Service]]:
    """Runs the real process over the migrated database, with these variables."""
    return functools.partial(running_service, settings)


@pytest.fixture(scope="session")
def serve_with() -> Any:
    """The same over any settings."""
    return running_service


# Folders below this one get these functions as fixtures: with importmode=importlib they cannot import this file.
@pytest.fixture(scope="session")
def server_factory() -> Any:
    return postgres_server


@pytest.fixture(scope="session")
def replica_factory() -> Any:
    return replica_of


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
def unused_port() -> Any:
    return free_port


@pytest.fixture(scope="session")
def environment() -> Any:
    return process_environment


@pytest.fixture(scope="session")
def wait_until() -> Any:
    return ask_until
