"""A store for backups on a volume of the cluster: S3 over a folder, for clusters without an object store of their own.

One pod, one volume: it survives the loss of Postgres, of a database and of a mistake, and not that of its own node's
disk. docs/how-to/backups.md says when that is not enough.
"""

from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgsDict
from pulumi_kubernetes.core.v1 import ContainerArgsDict, Secret, Service
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra import versions
from infra.components import network, pods
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.generated import GeneratedPassword
from infra.components.metadata import metadata
from infra.labels import CONTENT_HASH, content_hash, labels, selector
from infra.naming import OBJECT_STORE, OBJECT_STORE_HOST, OBJECT_STORE_PORT, Namespace, Priority
from infra.profiles import Profile

_USER: Final = 65532
_DATA: Final = "/data"
_TLS: Final = "/run/secrets/tls"
#: The name of its only user; the secret beside it is generated.
ACCESS_KEY: Final = "postgres-backups"
_HEALTH: Final = "/health"


@dataclass(frozen=True)
class ObjectStoreConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `versitygw`.
        profile: Sizes.
        storage_class: Class of its volume.
        authority: Who signs its certificate.
        node_loss: Seconds that its pod stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    storage_class: pulumi.Input[str]
    authority: Authority
    node_loss: int


@final
@dataclass(frozen=True)
class ObjectStoreResources:
    """What was made."""

    secret: Secret
    service: Service
    network_policy: NetworkPolicy
    stateful_set: StatefulSet


class ObjectStore(Component):
    """A store that takes requests.

    Attributes:
        secret_key: What its user signs requests with, secret.
    """

    def __init__(self, name: str, config: ObjectStoreConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("ObjectStore", name, opts)
        self.secret_key = GeneratedPassword("object-store", opts=self.child()).password
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: ObjectStoreConfig) -> ObjectStoreResources:
        options = self.child(depends_on=[config.namespace])
        pair = GeneratedCertificate("object-store", [OBJECT_STORE_HOST], config.authority, opts=self.child())
        secret = Secret(
            "object-store",
            metadata=_named(),
            string_data={
                "tls.crt": pair.certificate,
                "tls.key": pair.private_key,
                "access-key": ACCESS_KEY,
                "secret-key": self.secret_key,
            },
            opts=options,
        )
        service = Service(
            "object-store",
            metadata=_named(),
            spec={
                "selector": selector(OBJECT_STORE),
                "ports": [{"name": "https", "port": OBJECT_STORE_PORT, "target_port": "https"}],
            },
            opts=self.child(depends_on=[config.namespace]),
        )
        policy = NetworkPolicy(
            "object-store",
            metadata=_named(),
            spec=network.reached_by(
                OBJECT_STORE, [network.from_namespaces([Namespace.DATA.value], [OBJECT_STORE_PORT])]
            ),
            opts=options,
        )
        stateful_set = StatefulSet(
            "object-store",
            metadata=_named(),
            spec=stateful_set_spec(config, pair.certificate),
            opts=self.child(depends_on=[config.namespace, secret], timeout="5m"),
        )
        return ObjectStoreResources(secret, service, policy, stateful_set)


def stateful_set_spec(config: ObjectStoreConfig, certificate: pulumi.Input[str]) -> StatefulSetSpecArgsDict:
    """Its pod. No disruption budget: it would forbid to drain the node of a single pod for good.

    Args:
        config: How it is run.
        certificate: What makes a new pod when it changes: the gateway reads it once.
    """
    return {
        "replicas": 1,
        "service_name": OBJECT_STORE,
        "selector": {"match_labels": selector(OBJECT_STORE)},
        "template": {
            "metadata": {
                "labels": _labels(),
                "annotations": {CONTENT_HASH: pulumi.Output.from_input(certificate).apply(content_hash)},
            },
            "spec": {
                "automount_service_account_token": False,
                "enable_service_links": False,
                "priority_class_name": Priority.DATA.value,
                "security_context": pods.pod_security(_USER),
                "termination_grace_period_seconds": 30,
                "tolerations": pods.tolerations(config.node_loss),
                "containers": [_container(config)],
                "volumes": [{"name": "tls", "secret": {"secret_name": OBJECT_STORE, "default_mode": 0o440}}],
            },
        },
        "volume_claim_templates": [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "access_modes": ["ReadWriteOnce"],
                    "storage_class_name": config.storage_class,
                    "resources": {"requests": {"storage": config.profile.object_store_storage}},
                },
            }
        ],
    }


def _container(config: ObjectStoreConfig) -> ContainerArgsDict:
    return {
        "name": OBJECT_STORE,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "args": [
            f"--port=:{OBJECT_STORE_PORT}",
            f"--cert={_TLS}/tls.crt",
            f"--key={_TLS}/tls.key",
            f"--health={_HEALTH}",
            "--quiet",
            "posix",
            _DATA,
        ],
        "env": [
            {
                "name": name,
                "value_from": {"secret_key_ref": {"name": OBJECT_STORE, "key": key}},
            }
            for name, key in (("ROOT_ACCESS_KEY", "access-key"), ("ROOT_SECRET_KEY", "secret-key"))
        ],
        "ports": [{"name": "https", "container_port": OBJECT_STORE_PORT}],
        "resources": pods.resources(config.profile.object_store),
        "security_context": pods.container_security(),
        "readiness_probe": {
            "http_get": {"path": _HEALTH, "port": "https", "scheme": "HTTPS"},
            "period_seconds": 5,
            "timeout_seconds": 3,
        },
        "liveness_probe": {
            "http_get": {"path": _HEALTH, "port": "https", "scheme": "HTTPS"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 6,
        },
        "volume_mounts": [
            {"name": "data", "mount_path": _DATA},
            {"name": "tls", "mount_path": _TLS, "read_only": True},
        ],
    }


def _named() -> ObjectMetaArgsDict:
    return metadata(OBJECT_STORE, _labels(), namespace=Namespace.BACKUPS.value)


def _labels() -> dict[str, str]:
    return labels(OBJECT_STORE, "backups", version=versions.VERSITYGW)
