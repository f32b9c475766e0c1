"""The running Postgres and one that is restored beside it, by kubectl: what `slipway.proof.restore` works on."""

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, final

from infra import naming
from infra.components.postgres import API, restored_spec
from infra.naming import Environment, Namespace
from slipway.cli import base_backups
from slipway.cli.stores import NAMESPACE, PostgresStore
from slipway.node.errors import NodeError

#: What is restored carries this label, so that the next drill finds what a killed one has left.
LABEL: Final = "slipway.dev/drill"
_PREFIX: Final = "restore-drill"
_WITHIN: Final = 900.0
_EVERY: Final = 2.0
#: What of the running one's specification the fresh one has too; its plugins not, so that it archives nothing.
_KEPT: Final = (
    "imageName", "imagePullPolicy", "storage", "walStorage", "resources", "priorityClassName", "affinity",
)  # fmt: skip

Kubectl = Callable[..., str]


class NoBackupError(NodeError):
    """There is nothing to restore from."""


def fresh_cluster(running: dict[str, Any], name: str, moment: str | None) -> dict[str, Any]:
    """The object of a database that begins as the running one was: one instance, no archive of its own.

    Args:
        running: The running `Cluster`.
        name: Name of the fresh one.
        moment: When, as RFC 3339 with a zone; None: the newest.

    Raises:
        NoBackupError: The running one archives nothing.
    """
    return {
        "apiVersion": API,
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": Namespace.DATA.value, "labels": {LABEL: "restore"}},
        "spec": {
            **{key: running["spec"][key] for key in _KEPT if key in running["spec"]},
            "instances": 1,
            "enablePDB": False,
            # A database must allow at least what the one did that wrote the log.
            "postgresql": {"parameters": _limits(running["spec"].get("postgresql", {}).get("parameters", {}))},
            **restored_spec(archive_name(running), moment),
        },
    }


def archive_name(running: dict[str, Any]) -> str:
    """Name under which a `Cluster` is archived.

    Raises:
        NoBackupError: It archives nothing.
    """
    if (archiver := base_backups.archiver(running)) is None:
        raise NoBackupError(
            "Postgres of this cluster is not backed up; `pulumi config set slipway-platform:backups managed` and "
            "`slipway up` change that (docs/how-to/backups.md)"
        )
    return str(archiver["parameters"].get("serverName") or running["metadata"]["name"])


def passed(moment: datetime) -> dict[str, Any]:
    """The object that tells when a restore was last tried and held: an alert looks at its age."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": naming.RESTORE_DRILL, "namespace": Namespace.DATA.value},
        "spec": {"holderIdentity": "slipway-drill-restore", "renewTime": f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"},
    }


def _limits(parameters: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in parameters.items() if key in {"max_connections", "shared_buffers"}}


@final
class PostgresDatabases:
    """`slipway.proof.restore.Databases` of one environment.

    Args:
        kubectl: Runs kubectl as the administrator; takes `stdin`.
        environment: Whose database is read.
    """

    def __init__(self, kubectl: Kubectl, environment: Environment) -> None:
        self._kubectl = kubectl
        self._postgres = PostgresStore(kubectl)
        self._database = naming.database(environment)
        self._name = f"{_PREFIX}-{datetime.now(UTC):%H%M%S}"

    def base_backup(self) -> None:
        """Wait for a base backup; ask for one if none is complete or under way."""
        archive_name(self._postgres.running())
        deadline, asked = time.monotonic() + _WITHIN, False
        while True:
            phases = base_backups.phases(self._items("backups.postgresql.cnpg.io"))
            if "completed" in phases:
                return
            if not asked and base_backups.lacking(phases):
                self._apply(base_backups.asked(generateName=f"{_PREFIX}-"))
                asked = True
            if time.monotonic() > deadline:
                raise NoBackupError(f"no base backup was complete within {_WITHIN:g} s; their phases are {phases}")
            time.sleep(_EVERY)

    def new_base_backup(self) -> None:
        """Ask for a base backup and wait for it, whichever there are already.

        Raises:
            NoBackupError: It failed, or was not complete in time.
        """
        archive_name(self._postgres.running())
        name, deadline = f"rebuild-drill-{datetime.now(UTC):%Y%m%d%H%M%S}", time.monotonic() + _WITHIN
        self._apply(base_backups.asked(name=name))
        while True:
            found = [it for it in self._items("backups.postgresql.cnpg.io") if it["metadata"]["name"] == name]
            status = found[0].get("status", {}) if found else {}
            if status.get("phase") == "completed":
                return
            if status.get("phase") == "failed" or time.monotonic() > deadline:
                raise NoBackupError(
                    f"the base backup {name} is {status.get('phase', 'not begun')}, not completed, after at most "
                    f"{_WITHIN:g} s: {status.get('error', 'it gives no reason')}"
                )
            time.sleep(_EVERY)

    def instant(self) -> str:
        """The primary's own time."""
        return self._postgres.ask("postgres", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', "
                                  "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")  # fmt: skip

    def unarchived(self) -> float:
        """Seconds since the last archived log."""
        text = (
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - last_archived_time), 'infinity')"
            " FROM pg_stat_archiver"
        )
        return float(self._postgres.ask("postgres", text).replace("Infinity", "inf"))

    def archive(self) -> None:
        """Close the log, and wait for it."""
        pod = self._postgres.primary()
        closed = self._ask(pod, "postgres", "SELECT pg_walfile_name(pg_switch_wal())")
        deadline = time.monotonic() + _WITHIN
        while (last := self._ask(pod, "postgres", "SELECT last_archived_wal FROM pg_stat_archiver")) < closed:
            if time.monotonic() > deadline:
                raise NodeError(f"the log {closed} was not archived within {_WITHIN:g} s; the last one is {last!r}")
            time.sleep(_EVERY)

    def restore(self, moment: str) -> None:
        """Make the fresh `Cluster`."""
        self._apply(fresh_cluster(self._postgres.running(), self._name, moment))

    def restored(self) -> bool:
        """Whether it answers, and takes writes."""
        with contextlib.suppress(NodeError):
            return self._ask(self._fresh(), "postgres", "SELECT pg_is_in_recovery()") == "f"
        return False

    def marks(self, prefix: str) -> list[str]:
        """Emails that begin so."""
        text = "SELECT email FROM users WHERE starts_with(email, :'prefix')"
        return self._ask(self._fresh(), self._database, text, prefix=prefix).splitlines()

    def newest(self) -> str:
        """When the newest user was made; empty also if at that moment there was no database yet, or no table."""
        there = "SELECT count(*) FROM pg_database WHERE datname = :'name'"
        if self._ask(self._fresh(), "postgres", there, name=self._database) == "0":
            return ""
        if self._ask(self._fresh(), self._database, "SELECT to_regclass('users') IS NULL") == "t":
            return ""
        return self._ask(self._fresh(), self._database, "SELECT to_char(max(created_at) AT TIME ZONE 'UTC', "
                         "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM users")  # fmt: skip

    def replace(self, mark: str, by: str) -> None:
        """Another email for a user of the fresh database."""
        text = "UPDATE users SET email = :'by' WHERE email = :'mark'"
        self._ask(self._fresh(), self._database, text, mark=mark, by=by)

    def passed(self) -> None:
        """Leave word in the cluster that a restore held, and when."""
        self._kubectl(
            "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(passed(datetime.now(UTC)))
        )

    def remove(self) -> None:
        """Delete what a drill has made; its volumes go with it."""
        self._kubectl(
            "delete", "clusters.postgresql.cnpg.io", NAMESPACE, f"--selector={LABEL}=restore", "--wait=true",
            "--ignore-not-found", timeout=180.0,
        )  # fmt: skip

    def _fresh(self) -> str:
        return f"{self._name}-1"

    def _items(self, kind: str) -> list[dict[str, Any]]:
        return json.loads(self._kubectl("get", kind, NAMESPACE, "--output=json"))["items"]

    def _ask(self, pod: str, database: str, text: str, **values: str) -> str:
        return self._postgres.ask(database, text, pod=pod, **values)

    def _apply(self, document: dict[str, Any]) -> None:
        self._kubectl("create", "--filename=-", stdin=json.dumps(document))
