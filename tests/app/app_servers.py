"""Real servers for tests, made from the binaries of this machine: Postgres, its replicas, Redis."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ports import free_port

MISSING = (
    "tests/app needs a real Postgres: no `initdb` and `postgres` in /usr/lib/postgresql/*/bin, /usr/local/bin or PATH. "
    "Install one (Debian: apt-get install postgresql)."
)
#: Roles as the platform makes them: who owns and migrates, who serves, who reads.
OWNER, APP, READER = ROLES = ("payload", "payload_app", "payload_reader")
PASSWORD = "only-in-tests"
#: Names a server that stands already, as JSON: mutants are tried by a run of tests each, which is then shorter.
STANDING = "PAYLOAD_STANDING_POSTGRES"
#: The database there with the current schema, which such a run copies.
TEMPLATE = "payload_template"


def postgres_binaries() -> Path:
    """The folder that holds initdb and postgres."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    candidates = [*folders, Path("/usr/local/bin"), *([Path(found).parent] if found else [])]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.fail(MISSING, pytrace=False)


@dataclass
class PostgresServer:
    """One server process over one data folder."""

    binaries: Path
    folder: Path
    port: int
    user: str | None
    host: str = "127.0.0.1"

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
        options = f"-k {self.folder} -p {self.port} -c listen_addresses={self.host} -c fsync=off -c max_connections=100"
        self.run(
            "pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-o", options
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop and wait."""
        self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.folder / "data"))

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's autocommit connection."""
        return psycopg.connect(
            f"host={self.host} port={self.port} user=admin dbname={database}", autocommit=True, connect_timeout=5
        )

    def url(self, database: str, role: str = APP) -> str:
        """The address as the service gets it."""
        return f"postgresql+psycopg://{role}:{PASSWORD}@{self.host}:{self.port}/{database}"


@contextmanager
def session_server() -> Iterator[PostgresServer]:
    """The server of a run of tests: the one that stands already, or a new one."""
    standing = os.environ.get(STANDING)
    if standing is None:
        with postgres_server() as server:
            yield server
    else:
        told = json.loads(standing)
        yield PostgresServer(Path(told["binaries"]), Path(told["folder"]), told["port"], told["user"])


def told_of(server: PostgresServer) -> dict[str, str]:
    """The variable by which a run of tests learns of a server that stands."""
    told = {
        "binaries": str(server.binaries),
        "folder": str(server.folder),
        "port": server.port,
        "user": server.user,
    }
    return {STANDING: json.dumps(told)}


@contextmanager
def copy_of_template(server: PostgresServer) -> Iterator[str]:
    """The name of a database of this process alone, with the current schema."""
    name = f"payload_{os.getpid()}"
    with server.admin() as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER payload")
    try:
        yield name
    finally:
        with server.admin() as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


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
                for role in ROLES:
                    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            yield server
        finally:
            server.stop("immediate")


def make_database(server: PostgresServer, name: str) -> None:
    """An empty database of the owner's."""
    with server.admin() as admin:
        admin.execute(f'CREATE DATABASE "{name}" OWNER {OWNER}')


@contextmanager
def replica_of(
    primary: PostgresServer, *, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[PostgresServer]:
    """A streaming replica of a server, on a port that is free unless one is given."""
    with tempfile.TemporaryDirectory(prefix="payload-replica-") as name:
        folder = Path(name)
        if primary.user is not None:
            shutil.chown(folder, primary.user)
        server = PostgresServer(primary.binaries, folder, port or free_port(), primary.user, host)
        source = f"host=127.0.0.1 port={primary.port} user=admin application_name=replica"
        server.run("pg_basebackup", "-D", str(folder / "data"), "-d", source, "-R", "-X", "stream", "-c", "fast")
        server.start()
        try:
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
