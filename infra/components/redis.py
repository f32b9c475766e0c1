"""Redis as it stands for now: one instance with a password, its data on a volume, not encrypted on the wire.

Issue D makes two roles of it (state with Sentinel, cache), with TLS. Until then a lost node means that Redis is away
until its pod is back; the service treats that as a cache that does not answer.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgsDict
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgsDict, PodSpecArgsDict, Secret, Service
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from infra.components import network, pods
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import CONTENT_HASH, labels, selector
from infra.naming import REDIS, REDIS_AUTH_SECRET, REDIS_PORT, Environment, Namespace, Priority
from infra.profiles import Profile

_USER: Final = 999
_AUTH: Final = "/run/secrets/redis"
_ETC: Final = "/etc/redis"
_DATA: Final = "/data"
_PING: Final = f'REDISCLI_AUTH="$(cat {_AUTH}/password)" redis-cli ping | grep -q PONG'


@dataclass(frozen=True)
class RedisConfig:
    """How Redis is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `redis`.
        profile: Sizes.
        storage_class: Class of its volume.
        password: Password of its one user, secret.
        node_loss: Seconds that it stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    storage_class: pulumi.Input[str]
    password: pulumi.Input[str]
    node_loss: int


@final
@dataclass(frozen=True)
class RedisResources:
    """What was made."""

    auth: Secret
    configuration: ConfigMap
    service: Service
    network_policy: NetworkPolicy
    stateful_set: StatefulSet


class Redis(Component):
    """One Redis."""

    def __init__(self, name: str, config: RedisConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Redis", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: RedisConfig) -> RedisResources:
        options = self.child(depends_on=[config.namespace])
        named = metadata(REDIS, _labels(), namespace=Namespace.DATA.value)
        auth = Secret(
            "auth",
            metadata=metadata(REDIS_AUTH_SECRET, _labels(), namespace=Namespace.DATA.value),
            string_data={
                "password": config.password,
                "users.acl": pulumi.Output.concat("user default on >", config.password, " ~* &* +@all\n"),
            },
            opts=options,
        )
        configuration = ConfigMap(
            "configuration", metadata=named, data={"redis.conf": configuration_file(config.profile)}, opts=options
        )
        service = Service(
            "redis",
            metadata=named,
            spec={
                "selector": selector(REDIS),
                "ports": [{"name": "redis", "port": REDIS_PORT, "target_port": "redis"}],
            },
            opts=options,
        )
        network_policy = NetworkPolicy(
            "redis",
            metadata=named,
            spec=network.reached_by(
                REDIS, [network.from_namespaces([environment.value for environment in Environment], [REDIS_PORT])]
            ),
            opts=options,
        )
        stateful_set = StatefulSet(
            "redis",
            metadata=named,
            spec=stateful_set_spec(config),
            opts=self.child(depends_on=[config.namespace, auth, configuration, service], timeout="10m"),
        )
        return RedisResources(auth, configuration, service, network_policy, stateful_set)


def configuration_file(profile: Profile) -> str:
    """Redis's own configuration: every write is on disk within a second, and nothing is thrown away to make room."""
    return "\n".join(
        (
            f"port {REDIS_PORT}",
            "bind * -::*",
            "protected-mode no",  # the user list below asks for a password from everyone
            f"dir {_DATA}",
            f"aclfile {_AUTH}/users.acl",
            "appendonly yes",
            "appendfsync everysec",
            f"maxmemory {profile.redis_maxmemory}",
            "maxmemory-policy noeviction",
            "tcp-keepalive 15",
            "",
        )
    )


def stateful_set_spec(config: RedisConfig) -> StatefulSetSpecArgsDict:
    """One pod with one volume."""
    content = hashlib.sha256(configuration_file(config.profile).encode()).hexdigest()[:16]
    return {
        "replicas": 1,
        "service_name": REDIS,
        "selector": {"match_labels": selector(REDIS)},
        "template": {
            "metadata": {"labels": _labels(), "annotations": {CONTENT_HASH: content}},
            "spec": _pod_spec(config),
        },
        "volume_claim_templates": [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "access_modes": ["ReadWriteOnce"],
                    "storage_class_name": config.storage_class,
                    "resources": {"requests": {"storage": config.profile.redis_storage}},
                },
            }
        ],
    }


def _pod_spec(config: RedisConfig) -> PodSpecArgsDict:
    return {
        "automount_service_account_token": False,
        "priority_class_name": Priority.DATA.value,
        "security_context": pods.pod_security(_USER),
        "termination_grace_period_seconds": 30,
        "tolerations": pods.tolerations(config.node_loss),
        "containers": [_container(config)],
        "volumes": [
            {"name": "configuration", "config_map": {"name": REDIS}},
            {"name": "auth", "secret": {"secret_name": REDIS_AUTH_SECRET, "default_mode": 0o440}},
            {"name": "tmp", "empty_dir": {"size_limit": "16Mi"}},
        ],
    }


def _container(config: RedisConfig) -> ContainerArgsDict:
    return {
        "name": "redis",
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "command": ["redis-server", f"{_ETC}/redis.conf"],
        "ports": [{"name": "redis", "container_port": REDIS_PORT}],
        "resources": pods.resources(config.profile.redis),
        "security_context": pods.container_security(),
        "startup_probe": {"exec_": {"command": ["sh", "-c", _PING]}, "period_seconds": 1, "failure_threshold": 60},
        "readiness_probe": {"exec_": {"command": ["sh", "-c", _PING]}, "period_seconds": 5, "timeout_seconds": 3},
        # Only whether it accepts: a Redis that loads a large file answers LOADING and must not be restarted for it.
        "liveness_probe": {"tcp_socket": {"port": "redis"}, "period_seconds": 10, "timeout_seconds": 5},
        "volume_mounts": [
            {"name": "data", "mount_path": _DATA},
            {"name": "configuration", "mount_path": _ETC, "read_only": True},
            {"name": "auth", "mount_path": _AUTH, "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container, empty at each start
        ],
    }


def _labels() -> dict[str, str]:
    return labels(REDIS, "cache")
