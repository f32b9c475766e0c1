"""A real PgBouncer before a real Postgres, told what the platform tells its own."""

import shutil
import signal
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
from app_servers import APP, PASSWORD, ROLES, PostgresServer
from ports import free_port

from infra.components.poolers import parameters
from infra.timeouts import PoolerTimeouts

MISSING = "tests/app needs a real PgBouncer: no `pgbouncer` in PATH or /usr/sbin (Debian: apt-get install pgbouncer)"
#: Set by the operator, not by the platform; there is no TLS between the processes of a test.
_OPERATORS = {
    "pool_mode": "transaction",
    "auth_type": "scram-sha-256",
    "ignore_startup_parameters": "extra_float_digits,options",
    "client_tls_sslmode": "disable",
    "log_stats": "0",
}


@dataclass
class Pooler:
    """One PgBouncer before one address of Postgres."""

    binary: str
    folder: Path
    port: int
    server: PostgresServer
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, role: str = APP) -> str:
        """The address as the service gets it."""
        return f"postgresql+psycopg://{role}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A client's autocommit connection."""
        return psycopg.connect(self.url(database).replace("+psycopg", ""), autocommit=True, prepare_threshold=None)

    def start(self) -> None:
        """Start and wait until connections are accepted."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, str(self.folder / "pgbouncer.ini")],
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self.server.user,
                extra_groups=None if self.server.user is None else [],
            )
        while True:  # the test's timeout ends a hopeless wait
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except ConnectionRefusedError:
                continue

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it: as `kill -9` does, or as the operator does with SIGINT, which lets transactions end first."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


@contextmanager
def pooler_before(
    server: PostgresServer, *others: PostgresServer, size: int = 4, port: int | None = None, **values: str
) -> Iterator[Pooler]:
    """A pooler, gone afterwards.

    Args:
        server: before which it stands.
        others: servers of the same port at other addresses; new connections go to each in turn.
        size: connections that it opens at most.
        port: where it listens; one that is free if left out.
        values: what it is told besides.
    """
    binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") or shutil.which("pgbouncer")
    if binary is None:
        pytest.fail(MISSING, pytrace=False)
    with tempfile.TemporaryDirectory(prefix="payload-pooler-") as name:
        folder = Path(name)
        pooler = Pooler(binary, folder, port or free_port(), server)
        told = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(pooler.port),
            "unix_socket_dir": "",
            "auth_file": str(folder / "users"),
            **parameters(size, PoolerTimeouts()),
            **_OPERATORS,
            **values,
        }
        hosts = ",".join(it.host for it in (server, *others))
        lines = ["[databases]", f"* = host={hosts} port={server.port}", "[pgbouncer]"]
        (folder / "pgbouncer.ini").write_text("\n".join([*lines, *(f"{key} = {value}" for key, value in told.items())]))
        (folder / "users").write_text("".join(f'"{role}" "{PASSWORD}"\n' for role in ROLES))
        if server.user is not None:
            folder.chmod(0o755)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.end()
