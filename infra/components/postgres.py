"""Postgres: one primary, two replicas, each on a node of its own as far as there are nodes.

A commit is acknowledged only once a replica has it (`any 1`, required), and only a replica that is known to have all
acknowledged commits may be promoted (`failoverQuorum`): no acknowledged write is lost with the primary. The price is
that writes stop while two of the three are away.

It shows a certificate of the platform's authority, by which services know it; those by which replicas log in to the
primary are the operator's own (docs/adr/0105).
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret

from infra import manifests
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.metadata import metadata
from infra.labels import HOSTNAME, WAIT_FOR, labels
from infra.naming import (
    BACKUP_PLUGIN,
    BACKUP_STORE,
    CLUSTER_DOMAIN,
    POOLERS,
    POSTGRES,
    POSTGRES_PRIMARY_HOST,
    POSTGRES_TLS_SECRET,
    Namespace,
    Priority,
)
from infra.parts import Restore
from infra.profiles import POSTGRES_INSTANCES, Profile
from infra.timeouts import PostgresTimeouts

API = "postgresql.cnpg.io/v1"
#: After so long a log that is not full is archived all the same.
ARCHIVED_WITHIN: Final = "60s"
_ORIGIN: Final = "origin"
#: Services that the operator makes: of the primary, of replicas, of all; of poolers, who show the same certificate.
_SERVICES: Final = (*(f"{POSTGRES}-{end}" for end in ("rw", "ro", "r")), *POOLERS)


@dataclass(frozen=True)
class Archived:
    """That Postgres is backed up.

    Attributes:
        name: Name under which it is archived.
        restore: What it begins with if it is made anew; None: with nothing.
    """

    name: str
    restore: Restore | None = None


@dataclass(frozen=True)
class PostgresConfig:
    """How Postgres is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `postgres`; its tag begins with the major version, which the operator reads.
        profile: Sizes.
        timeouts: Waits of a failover.
        storage_class: Class of its volumes.
        node_loss: Seconds that an instance stays bound to a lost node.
        authority: Who signs its certificate.
        archived: How it is backed up; None: it is not.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    timeouts: PostgresTimeouts
    storage_class: pulumi.Input[str]
    node_loss: int
    authority: Authority
    archived: Archived | None = None


@final
@dataclass(frozen=True)
class PostgresResources:
    """What was made."""

    certificate: GeneratedCertificate
    secret: Secret
    cluster: CustomResource


class Postgres(Component):
    """A Postgres cluster; ready when all its instances are. The operator must be there before it."""

    def __init__(self, name: str, config: PostgresConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Postgres", name, opts)
        certificate = GeneratedCertificate("postgres", hosts(), config.authority, opts=self.child())
        secret = Secret(
            "postgres",
            metadata=metadata(
                POSTGRES_TLS_SECRET,
                # Without this label the operator would not notice a new certificate; with it, Postgres reads it anew.
                {**labels(POSTGRES, "database"), "cnpg.io/reload": "true"},
                namespace=Namespace.DATA.value,
            ),
            type="kubernetes.io/tls",
            string_data={
                "ca.crt": config.authority.certificate,
                "tls.crt": certificate.certificate,
                "tls.key": certificate.private_key,
            },
            opts=self.child(depends_on=[config.namespace]),
        )
        self.resources = PostgresResources(
            certificate,
            secret,
            CustomResource(
                "postgres",
                api_version=API,
                kind="Cluster",
                metadata=metadata(
                    POSTGRES,
                    labels(POSTGRES, "database"),
                    namespace=Namespace.DATA.value,
                    annotations={WAIT_FOR: "condition=Ready"},
                ),
                spec=cluster_spec(config),
                opts=self.child(depends_on=[config.namespace, secret], timeout="15m"),
            ),
        )
        self.register_outputs({})


def hosts() -> list[str]:
    """By what Postgres is called inside the cluster, the primary's full name first."""
    names = [
        f"{service}{rest}"
        for service in _SERVICES
        for rest in ("", f".{Namespace.DATA}", f".{Namespace.DATA}.svc", f".{Namespace.DATA}.svc.{CLUSTER_DOMAIN}")
    ]
    return [POSTGRES_PRIMARY_HOST, *(it for it in names if it != POSTGRES_PRIMARY_HOST)]


def cluster_spec(config: PostgresConfig) -> dict[str, Any]:
    """The specification of the `Cluster` object."""
    timeouts, archived = config.timeouts, config.archived
    return {
        "instances": POSTGRES_INSTANCES,
        "imageName": config.image,
        "imagePullPolicy": "IfNotPresent",
        "storage": {"size": config.profile.postgres_storage, "storageClass": config.storage_class},
        # Of its own: a log that piles up takes no room from data, and a full one is told from full data.
        "walStorage": {"size": config.profile.postgres_wal_storage, "storageClass": config.storage_class},
        "resources": {
            "requests": config.profile.postgres.requests(),
            "limits": config.profile.postgres.limits(),
        },
        "priorityClassName": Priority.DATA.value,
        "affinity": {
            "enablePodAntiAffinity": True,
            # Not required: with fewer nodes than instances the third one would never start.
            "podAntiAffinityType": "preferred",
            "topologyKey": HOSTNAME,
            "tolerations": manifests.tolerations(config.node_loss),
        },
        "postgresql": {
            "parameters": {
                "max_connections": str(config.profile.postgres_connections),
                "shared_buffers": config.profile.postgres_shared_buffers,
                # A client that vanished without a word frees its connection and its locks within seconds.
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
                # A replica that has lost its primary asks the new one so often. With Postgres' own 5 s every write
                # would wait so long after a switchover, since none is acknowledged before a replica has it.
                "wal_retrieve_retry_interval": "500ms",
                # A member that is rewound copies the whole log of its primary, and needs it from the last checkpoint
                # before they parted (ADR 134).
                "max_wal_size": config.profile.postgres_wal,
                "wal_keep_size": config.profile.postgres_wal,
                # What is not archived is lost with all instances at once: at most so much time of it.
                **({"archive_timeout": ARCHIVED_WITHIN} if archived else {}),
            },
            "synchronous": {
                "method": "any",
                "number": 1,
                "dataDurability": "required",
                "failoverQuorum": True,
            },
        },
        "certificates": {"serverCASecret": POSTGRES_TLS_SECRET, "serverTLSSecret": POSTGRES_TLS_SECRET},
        "primaryLease": {
            "leaseDurationSeconds": timeouts.lease,
            "renewDeadlineSeconds": timeouts.lease_renewal,
            "retryPeriodSeconds": timeouts.lease_retry,
        },
        # Another version: replicas first, then the primary hands over. Started anew in its place, it would be away for
        # as long as a pod takes.
        "primaryUpdateMethod": "switchover",
        "failoverDelay": 0,
        "switchoverDelay": timeouts.switchover,
        "smartShutdownTimeout": timeouts.smart_shutdown,
        "stopDelay": timeouts.stop,
        "enableSuperuserAccess": False,
        "enablePDB": True,
        **(archived_spec(archived) if archived else {}),
    }


def archived_spec(archived: Archived) -> dict[str, Any]:
    """What the specification of a `Cluster` says besides if it is backed up."""
    own = {"name": BACKUP_PLUGIN, "isWALArchiver": True, "parameters": archive_parameters(archived.name)}
    if archived.restore is None:
        return {"plugins": [own]}
    return {"plugins": [own], **restored_spec(archived.restore.name, archived.restore.time)}


def restored_spec(name: str, time: str | None) -> dict[str, Any]:
    """What the specification of a `Cluster` says that begins with an archive; read when it is made, and never again.

    Args:
        name: Name under which the other one was archived.
        time: Moment to go back to, as RFC 3339 with a zone; None: the newest.
    """
    recovery: dict[str, Any] = {"source": _ORIGIN, **({"recoveryTarget": {"targetTime": time}} if time else {})}
    return {
        "bootstrap": {"recovery": recovery},
        "externalClusters": [
            {"name": _ORIGIN, "plugin": {"name": BACKUP_PLUGIN, "parameters": archive_parameters(name)}}
        ],
    }


def archive_parameters(name: str) -> dict[str, str]:
    """How the plugin is told of an archive."""
    return {"barmanObjectName": BACKUP_STORE, "serverName": name}
