"""What development runs by compose: everything that the service can be told of, and a replica that really follows."""

import os
import re
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from app_servers import PostgresServer
from ports import free_port

from app.core.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("migrate", "app", "worker")


def test_there_is_all_that_the_service_needs():
    assert set(SERVICES) == {"postgres", "replica", "redis", *OURS}
    for name in ("app", "worker"):
        waits = {other: how["condition"] for other, how in SERVICES[name]["depends_on"].items()}
        assert waits == {
            "migrate": "service_completed_successfully",
            "replica": "service_healthy",
            "redis": "service_healthy",
        }
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "replica", "redis"))


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_every_file_is_mounted(name):
    told = SERVICES[name]["environment"]
    assert {it.removeprefix("SLIPWAY_").lower() for it in told} <= set(Settings.model_fields)
    files = {Path(value).name for variable, value in told.items() if variable.endswith("_FILE")}
    assert files == set(SERVICES[name]["secrets"]) == set(COMPOSE["secrets"])
    assert "SLIPWAY_REPLICA_URL_FILE" in told


def test_the_head_of_the_file_names_every_secret_and_leads_to_servers_that_are_there():
    text = (ROOT / "compose.yaml").read_text("utf-8")
    exported = dict(re.findall(r"^#   export (PAYLOAD_[A-Z_]+)=(\S+)", text, re.MULTILINE))
    assert set(exported) == {secret["environment"] for secret in COMPOSE["secrets"].values()}
    hosts = [urlsplit(exported[f"PAYLOAD_{name}_URL"]).hostname for name in ("DATABASE", "REPLICA", "REDIS")]
    assert hosts == ["postgres", "replica", "redis"]


@pytest.mark.parametrize("name", ["app", "worker"])
def test_ours_write_nowhere_but_into_memory(name):
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["tmpfs"] == ["/tmp"]  # noqa: S108 - a mount of its own


def script(name: str) -> str:
    """A script as a container gets it: compose writes a dollar twice."""
    return COMPOSE["configs"][name]["content"].replace("$$", "$")


def run(server: PostgresServer, text: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    path = f"{server.binaries}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", text], env={"PATH": path, **environment}, user=server.user, group=server.user,
        extra_groups=[], cwd=server.folder, check=True, timeout=60,
    )  # fmt: skip


def test_the_scripts_make_a_replica_that_follows_and_a_restart_keeps_it(server_factory):
    with server_factory() as primary:
        data = primary.folder / "data"
        local = {"PGHOST": "127.0.0.1", "PGPORT": str(primary.port)}
        run(primary, script("replication"), **local, POSTGRES_USER="admin", POSTGRES_DB="postgres", PGDATA=str(data))
        assert "host replication replicator all scram-sha-256" in (data / "pg_hba.conf").read_text()
        folder = primary.folder / "replica"
        text = script("replica").replace("--host postgres", "--host 127.0.0.1").replace("exec postgres", "")
        replica = PostgresServer(primary.binaries, primary.folder, free_port(), primary.user)
        for _ in range(2):  # the second start copies nothing
            run(primary, text, PGDATA=str(folder), PGPORT=str(primary.port), PGPASSWORD="only-for-development")
        options = f"-k {primary.folder} -p {replica.port} -c listen_addresses=127.0.0.1"
        replica.run("pg_ctl", "start", "-w", "-D", str(folder), "-l", str(primary.folder / "log2"), "-o", options)
        try:
            with primary.admin() as admin:
                admin.execute("CREATE TABLE followed (number int)")
            while True:  # the test has a timeout
                try:
                    with replica.admin() as admin:
                        assert admin.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
                        admin.execute("SELECT * FROM followed")
                    break
                except psycopg.errors.UndefinedTable:
                    time.sleep(0.05)
        finally:
            replica.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(folder))
