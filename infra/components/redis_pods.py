"""Pods of Redis: a member of the state role with its Sentinel and its keeper, and the cache."""

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    KeyToPathArgsDict,
    PodSpecArgsDict,
    ProbeArgsDict,
    VolumeArgsDict,
    VolumeMountArgsDict,
)

from infra.components import pods, redis_files
from infra.components.certificates import Authority
from infra.components.redis_files import AUTH, DATA, ETC, TLS
from infra.labels import HOSTNAME, selector
from infra.naming import (
    REDIS,
    REDIS_AUTH_SECRET,
    REDIS_CACHE,
    REDIS_CACHE_AUTH_SECRET,
    REDIS_CACHE_TLS_SECRET,
    REDIS_HEALTH_PORT,
    REDIS_MEMBERS,
    REDIS_METRICS_PORT,
    REDIS_PORT,
    REDIS_SET,
    REDIS_TLS_SECRET,
    SENTINEL_PORT,
    Namespace,
    Priority,
    cluster_host,
    redis_member,
)
from infra.profiles import Profile

_USER: Final = 999
_KEEPER: Final = "/opt/keeper"
_PULL: Final = "IfNotPresent"
_ASKS_SECONDS: Final = 2
_ANSWERS_SECONDS: Final = 5
#: Seconds between two looks whether a program hangs. Nobody waits for it: Sentinels replace a master that does after
#: five seconds. Each look is a program more to start, of which a small machine feels each.
_HANGS_EVERY: Final = 30
#: The keeper answers for the whole member; a program started in each container would cost far more (ADR 129).
_READY: Final[ProbeArgsDict] = {
    "http_get": {"path": "/readyz", "port": REDIS_HEALTH_PORT},
    "period_seconds": 5,
    "timeout_seconds": 3,
}
#: Of the certificate: what a server needs, and what those need who only look at one.
_SERVES: Final[VolumeMountArgsDict] = {"name": "tls", "mount_path": TLS, "read_only": True}
_LOOKS: Final[VolumeMountArgsDict] = {"name": "trusted", "mount_path": TLS, "read_only": True}


@dataclass(frozen=True)
class RedisPasswords:
    """Passwords, all secret, each of one user.

    Attributes:
        service: Of services, in both roles.
        keeper: Of keepers, Sentinels and replicas.
        metrics: Of the exporter.
    """

    service: pulumi.Input[str]
    keeper: pulumi.Input[str]
    metrics: pulumi.Input[str]


@dataclass(frozen=True)
class RedisConfig:
    """How Redis is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `redis`.
        keeper_image: Reference of the image `python`, in which keepers run.
        profile: Sizes.
        storage_class: Class of the members' volumes.
        passwords: Of its users.
        authority: Who signs its certificates.
        node_loss: Seconds that a pod stays bound to a lost node.
        exporter_image: Reference of the image `redis-exporter`; None where nobody measures.
        scraper: Namespace of whoever scrapes; None if nobody does.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    keeper_image: pulumi.Input[str]
    profile: Profile
    storage_class: pulumi.Input[str]
    passwords: RedisPasswords
    authority: Authority
    node_loss: int
    exporter_image: pulumi.Input[str] | None = None
    scraper: str | None = None


def state_pod_spec(config: RedisConfig) -> PodSpecArgsDict:
    """A member: its Redis, its Sentinel, its keeper."""
    volumes: list[VolumeArgsDict] = [
        {"name": "configuration", "config_map": {"name": REDIS}},
        {"name": "keeper", "config_map": {"name": f"{REDIS}-keeper"}},
        {"name": "auth", "secret": {"secret_name": REDIS_AUTH_SECRET, "default_mode": 0o440}},
        *_certificate(REDIS_TLS_SECRET),
        {"name": "tmp", "empty_dir": {"size_limit": "16Mi"}},
    ]
    return {
        **_pod(config, [_redis(config), _sentinel(config), _keeper(config), *_exporter(config)], volumes),
        # As even as may be, and no duty: a member starts where its volume is. One whose node was removed has it beside
        # another member's since, and when all of them start at once a duty would leave one of them without a node.
        "topology_spread_constraints": [
            {
                "max_skew": 1,
                "topology_key": HOSTNAME,
                "when_unsatisfiable": "ScheduleAnyway",
                "label_selector": {"match_labels": selector(REDIS)},
                "node_taints_policy": "Honor",
            }
        ],
    }


def cache_pod_spec(config: RedisConfig) -> PodSpecArgsDict:
    """The cache: one Redis that keeps nothing."""
    container: ContainerArgsDict = {
        "name": "redis",
        "image": config.image,
        "image_pull_policy": _PULL,
        "command": ["redis-server", f"{ETC}/redis.conf"],
        "ports": [{"name": "redis", "container_port": REDIS_PORT}],
        "resources": pods.resources(config.profile.redis_cache),
        "security_context": pods.container_security(),
        # It gives up before the kubelet does, who would end the shell alone: Redis, the container's first process,
        # never takes leave of what the shell has left behind.
        "readiness_probe": {
            "exec_": {"command": ["sh", "-c", f"{redis_files.asking('PING', _ASKS_SECONDS)} | grep -q PONG"]},
            "period_seconds": 5,
            "timeout_seconds": _ASKS_SECONDS + 1,
        },
        "liveness_probe": _answers(REDIS_PORT),
        "volume_mounts": [
            {"name": "configuration", "mount_path": ETC, "read_only": True},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
            _SERVES,
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container
        ],
    }
    volumes: list[VolumeArgsDict] = [
        {"name": "configuration", "config_map": {"name": REDIS_CACHE}},
        {"name": "auth", "secret": {"secret_name": REDIS_CACHE_AUTH_SECRET, "default_mode": 0o440}},
        *_certificate(REDIS_CACHE_TLS_SECRET),
        {"name": "tmp", "empty_dir": {"size_limit": "16Mi"}},
    ]
    return _pod(config, [container, *_exporter(config)], volumes)


def _pod(config: RedisConfig, containers: list[ContainerArgsDict], volumes: list[VolumeArgsDict]) -> PodSpecArgsDict:
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "priority_class_name": Priority.DATA.value,
        "security_context": pods.pod_security(_USER),
        "termination_grace_period_seconds": 30,
        "tolerations": pods.tolerations(config.node_loss),
        "containers": containers,
        "volumes": volumes,
    }


def _redis(config: RedisConfig) -> ContainerArgsDict:
    return {
        "name": "redis",
        "image": config.image,
        "image_pull_policy": _PULL,
        "command": redis_files.redis_command(),
        "ports": [{"name": "redis", "container_port": REDIS_PORT}],
        "resources": pods.resources(config.profile.redis),
        "security_context": pods.container_security(),
        "readiness_probe": _READY,
        # Only whether it accepts: a Redis that loads a large file answers LOADING and must not be restarted for it.
        "liveness_probe": _answers(REDIS_PORT),
        "volume_mounts": [
            {"name": "data", "mount_path": DATA},
            {"name": "configuration", "mount_path": ETC, "read_only": True},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
            _SERVES,
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container, empty at each start
        ],
    }


def _sentinel(config: RedisConfig) -> ContainerArgsDict:
    return {
        "name": "sentinel",
        "image": config.image,
        "image_pull_policy": _PULL,
        "command": redis_files.sentinel_command(),
        "ports": [{"name": "sentinel", "container_port": SENTINEL_PORT}],
        "resources": pods.resources(config.profile.redis_sentinel),
        "security_context": pods.container_security(),
        "readiness_probe": _READY,
        "liveness_probe": _answers(SENTINEL_PORT),
        "volume_mounts": [
            {"name": "data", "mount_path": DATA},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
            _SERVES,
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container
        ],
    }


def _keeper(config: RedisConfig) -> ContainerArgsDict:
    hosts = [cluster_host(redis_member(number), Namespace.DATA) for number in range(REDIS_MEMBERS)]
    return {
        "name": "keeper",
        "image": config.keeper_image,
        "image_pull_policy": _PULL,
        "command": ["python3", "-B", "-u", "-m", "infra.redis_keeper"],
        "args": [
            f"--name={REDIS_SET}",
            "--ordinal=$(POD)",
            f"--redis={','.join(f'{host}:{REDIS_PORT}' for host in hosts)}",
            f"--sentinels={','.join(f'{host}:{SENTINEL_PORT}' for host in hosts)}",
            f"--password-file={AUTH}/keeper",
            f"--tls={TLS}",
            f"--health-port={REDIS_HEALTH_PORT}",
        ],
        "ports": [{"name": "health", "container_port": REDIS_HEALTH_PORT}],
        "env": [
            {"name": "POD", "value_from": {"field_ref": {"field_path": "metadata.name"}}},
            {"name": "PYTHONPATH", "value": _KEEPER},
        ],
        "resources": pods.resources(config.profile.redis_keeper),
        "security_context": pods.container_security(),
        "readiness_probe": _READY,
        "liveness_probe": {
            "http_get": {"path": "/livez", "port": REDIS_HEALTH_PORT},
            "period_seconds": _HANGS_EVERY,
            "timeout_seconds": 5,
        },
        "volume_mounts": [
            {"name": "keeper", "mount_path": f"{_KEEPER}/infra/redis_keeper", "read_only": True},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
            _LOOKS,
        ],
    }


def _exporter(config: RedisConfig) -> list[ContainerArgsDict]:
    if config.exporter_image is None:
        return []
    return [
        {
            "name": "exporter",
            "image": config.exporter_image,
            "image_pull_policy": _PULL,
            "args": redis_files.exporter_arguments(),
            "ports": [{"name": "metrics", "container_port": REDIS_METRICS_PORT}],
            "resources": pods.resources(config.profile.redis_exporter),
            "security_context": pods.container_security(),
            "readiness_probe": {"tcp_socket": {"port": "metrics"}, "period_seconds": 5, "timeout_seconds": 3},
            "liveness_probe": {"tcp_socket": {"port": "metrics"}, "period_seconds": 10, "timeout_seconds": 5},
            "volume_mounts": [{"name": "auth", "mount_path": AUTH, "read_only": True}, _LOOKS],
        }
    ]


def _certificate(secret: str) -> list[VolumeArgsDict]:
    """A certificate with its key for servers, and without it for who only looks."""
    seen: list[KeyToPathArgsDict] = [{"key": name, "path": name} for name in ("ca.crt", "tls.crt")]
    return [
        {"name": "tls", "secret": {"secret_name": secret, "default_mode": 0o440}},
        {"name": "trusted", "secret": {"secret_name": secret, "default_mode": 0o440, "items": seen}},
    ]


def _answers(port: int) -> ProbeArgsDict:
    """Whether a Redis or Sentinel answers anything at all: that it loads, or that it does not know who asks, will do.

    Its certificate is not looked at: a server is not ended for one that is about to be changed. A bare connection would
    be a line in its log each time, since it begins no TLS.
    """
    ping = ["timeout", str(_ANSWERS_SECONDS), "redis-cli", "-p", str(port), "--tls", "--insecure", "PING"]
    return {"exec_": {"command": ping}, "period_seconds": _HANGS_EVERY, "timeout_seconds": _ANSWERS_SECONDS + 1}
