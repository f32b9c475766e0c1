"""`slipway store`: a folder of this machine as the store of an embedded cluster's backups (docs/how-to/backups.md)."""

import json
import shlex
import signal
import threading
from pathlib import Path
from typing import Any, Final

import click

from infra.naming import BACKUP_BUCKET, Namespace
from slipway.cli.context import cluster_option
from slipway.node.cluster import exists, load
from slipway.node.spec import ClusterSpec
from slipway.node.stock import Stock
from slipway.node.store import Store

SECRET: Final = "backup-store"  # noqa: S105  # the name of a Secret, not a secret
_AUTHORITY_KEY: Final = "ca.crt"
_OBJECTS: Final = "objects.json"


@click.group("store")
def command() -> None:
    """Keep the backups of an embedded cluster in a folder of this machine, which outlives the cluster."""


@command.command("serve")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@cluster_option
@click.option("--network", help="The cluster's network, if it is not there yet and is to get another than usual.")
def serve(folder: Path, cluster: str, network: str | None) -> None:
    """Serve FOLDER by S3 to the pods of an embedded cluster, until this command is ended.

    The cluster may come later, go, and come again. What `slipway up` needs is printed: a file with the Secret, and
    settings.
    """
    if exists(cluster):
        spec = load(cluster)
        if network not in {None, spec.network}:
            raise click.UsageError(f"--network {network}: cluster {cluster!r} is there and has {spec.network}")
    else:
        spec = ClusterSpec(cluster, network=network) if network else ClusterSpec(cluster)
    store, stop = Store(folder.absolute(), spec), threading.Event()
    store.prepare()
    objects = store.folder / _OBJECTS
    objects.touch(mode=0o600)
    objects.write_text(json.dumps(secret_of(store)), encoding="utf-8")
    program = Stock().binary("versitygw")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    chosen = ["--network", network] if network else []
    external = ["--set", "slipway-platform:backups", "external"]
    reached = ["--set", "slipway-platform:backupsExternal", json.dumps(settings_of(store))]
    click.echo(
        shlex.join(["slipway", "up", "--cluster", cluster, *chosen, "--objects", str(objects), *external, *reached])
    )
    store.serve(program, stop, lambda text: click.echo(text, err=True))


def settings_of(store: Store) -> dict[str, str]:
    """What `slipway-platform:backupsExternal` says of it."""
    return {
        "path": f"s3://{BACKUP_BUCKET}",
        "endpoint": store.endpoint,
        "secret": SECRET,
        "authorityKey": _AUTHORITY_KEY,
    }


def secret_of(store: Store) -> dict[str, Any]:
    """The Secret that Postgres reads."""
    access, secret = store.user
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": Namespace.DATA.value},
        "stringData": {"access-key": access, "secret-key": secret, _AUTHORITY_KEY: store.authority},
    }
