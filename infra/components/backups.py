"""Backups of Postgres: every change archived within a minute, a base backup each night, all of it in an object store.

The archive stands beside Postgres, not in it: what is needed to make a database anew is there when nothing of the old
one is left. What each object says is in pure functions, which the restore drill uses too.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret

from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.object_store import ACCESS_KEY, ObjectStore
from infra.components.postgres import API, Postgres
from infra.labels import labels
from infra.naming import (
    BACKUP_BUCKET,
    BACKUP_PLUGIN,
    BACKUP_SECRET,
    BACKUP_STORE,
    OBJECT_STORE_HOST,
    OBJECT_STORE_PORT,
    POSTGRES,
    Namespace,
)
from infra.parts import ExternalObjectStore
from infra.profiles import Profile

STORE_API: Final = "barmancloud.cnpg.io/v1"
#: Six fields, seconds first: each night at 02:30, when few write.
SCHEDULE: Final = "0 30 2 * * *"
_ACCESS, _KEY, _REGION, _AUTHORITY = "access-key", "secret-key", "region", "ca.crt"


@dataclass(frozen=True)
class ArchiveConfig:
    """Where backups go.

    Attributes:
        namespace: The namespace of Postgres.
        profile: Sizes, and how long backups are kept.
        store: The store that the platform brings along, or how one elsewhere is reached.
        authority: Certificate of the platform's authority, which signed that of its own store.
    """

    namespace: pulumi.Resource
    profile: Profile
    store: ObjectStore | ExternalObjectStore
    authority: pulumi.Input[str]


@final
@dataclass(frozen=True)
class ArchiveResources:
    """What was made; a Secret of ours only for a store of ours."""

    secret: Secret | None
    store: CustomResource


class Archive(Component):
    """Tells Postgres of the store. The plugin must be there before it."""

    def __init__(self, name: str, config: ArchiveConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Archive", name, opts)
        secret, first = None, [config.namespace]
        if isinstance(config.store, ObjectStore):
            secret = Secret(
                "access",
                metadata=metadata(BACKUP_SECRET, labels(BACKUP_STORE, "backups"), namespace=Namespace.DATA.value),
                string_data={_ACCESS: ACCESS_KEY, _KEY: config.store.secret_key, _AUTHORITY: config.authority},
                opts=self.child(depends_on=[config.namespace]),
            )
            first = [config.namespace, secret, config.store]
        external = config.store if isinstance(config.store, ExternalObjectStore) else None
        self.resources = ArchiveResources(
            secret,
            CustomResource(
                "store",
                api_version=STORE_API,
                kind="ObjectStore",
                metadata=metadata(BACKUP_STORE, labels(BACKUP_STORE, "backups"), namespace=Namespace.DATA.value),
                spec=store_spec(config.profile, external),
                opts=self.child(depends_on=first),
            ),
        )
        self.register_outputs({})


@dataclass(frozen=True)
class ScheduleConfig:
    """What is backed up.

    Attributes:
        postgres: The cluster.
    """

    postgres: Postgres


@final
@dataclass(frozen=True)
class ScheduleResources:
    """What was made."""

    schedule: CustomResource


class BackupSchedule(Component):
    """Base backups: one at once, then one each night."""

    def __init__(self, name: str, config: ScheduleConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("BackupSchedule", name, opts)
        self.resources = ScheduleResources(
            CustomResource(
                "schedule",
                api_version=API,
                kind="ScheduledBackup",
                metadata=metadata(POSTGRES, labels(POSTGRES, "backups"), namespace=Namespace.DATA.value),
                spec=schedule_spec(),
                opts=self.child(depends_on=[config.postgres]),
            )
        )
        self.register_outputs({})


def store_spec(profile: Profile, external: ExternalObjectStore | None) -> dict[str, Any]:
    """The specification of the `ObjectStore` object.

    Args:
        profile: Sizes, and how long backups are kept.
        external: How a store elsewhere is reached; None: the platform's own.
    """
    secret = external.secret if external else BACKUP_SECRET
    credentials = {
        "accessKeyId": {"name": secret, "key": _ACCESS},
        "secretAccessKey": {"name": secret, "key": _KEY},
        **({"region": {"name": secret, "key": _REGION}} if external and external.region else {}),
    }
    endpoint = external.endpoint if external else f"https://{OBJECT_STORE_HOST}:{OBJECT_STORE_PORT}"
    authority = external.authority_key if external else _AUTHORITY
    return {
        "configuration": {
            "destinationPath": external.path if external else f"s3://{BACKUP_BUCKET}",
            **({"endpointURL": endpoint} if endpoint else {}),
            **({"endpointCA": {"name": secret, "key": authority}} if authority else {}),
            "s3Credentials": credentials,
            # A log of 16 MiB that a minute's rest has closed is mostly nothing; one that is full would take Barman's
            # gzip seconds (docs/adr/0123-logs-are-compressed-by-zstd.md). One at a time: a second process of Barman,
            # for the next log, would cost as much again of each question whether the archive has more, and replicas
            # ask that again and again while there is no primary.
            "wal": {"compression": "zstd"},
            "data": {"compression": "gzip", "jobs": 1, "immediateCheckpoint": True},
        },
        "retentionPolicy": f"{profile.backups_retention_days}d",
        "instanceSidecarConfiguration": {
            "resources": {
                "requests": profile.backup_sidecar.requests(),
                "limits": profile.backup_sidecar.limits(),
            },
            # Barman writes what it sends into temporary files; the root of the sidecar cannot be written.
            "env": [{"name": "TMPDIR", "value": "/controller"}],
        },
    }


def schedule_spec() -> dict[str, Any]:
    """The specification of the `ScheduledBackup` object."""
    return {
        "schedule": SCHEDULE,
        "immediate": True,
        "backupOwnerReference": "self",
        **backup_spec(),
    }


def backup_spec() -> dict[str, Any]:
    """The specification of a `Backup` object: how a base backup is made, by the schedule or at once."""
    return {
        "cluster": {"name": POSTGRES},
        "method": "plugin",
        "pluginConfiguration": {"name": BACKUP_PLUGIN},
        # From a replica: users wait for the primary.
        "target": "prefer-standby",
    }
