"""Redis in two roles: state, which survives the loss of any member, and a cache, which may be lost.

The state role is three members with a Sentinel and a keeper each. Members name each other by the addresses of Services
of their own, which stay when pods go; the keeper gives each its role (docs/adr/0060). What must not be lost is in
Postgres all the same: replication of Redis is asynchronous, so an acknowledged write can be.

Nothing is encrypted on the wire yet.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, StatefulSet, StatefulSetSpecArgsDict
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ContainerArgsDict,
    ExecActionArgsDict,
    PodSpecArgsDict,
    Secret,
    Service,
    VolumeArgsDict,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra import redis_keeper
from infra.components import network, pods, redis_files
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.redis_files import AUTH, DATA, ETC
from infra.labels import CONTENT_HASH, HOSTNAME, content_hash, labels, selector
from infra.naming import (
    REDIS,
    REDIS_AUTH_SECRET,
    REDIS_CACHE,
    REDIS_CACHE_AUTH_SECRET,
    REDIS_MEMBERS,
    REDIS_METRICS_PORT,
    REDIS_PORT,
    REDIS_SET,
    SENTINEL_PORT,
    Environment,
    Namespace,
    Priority,
    cluster_host,
    redis_member,
)
from infra.profiles import Profile

_USER: Final = 999
_KEEPER: Final = "/opt/keeper"
_ALIVE: Final = "/tmp/alive"  # noqa: S108  # a folder of the container
#: Its programs, by the name of the file; the folder in the pod has the same names, so that its imports hold.
_PROGRAMS: Final = tuple(sorted(Path(redis_keeper.__file__).parent.glob("*.py")))
_PULL: Final = "IfNotPresent"
_ASKS_SECONDS: Final = 2


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
        node_loss: Seconds that a pod stays bound to a lost node.
        exporter_image: Reference of the image `redis-exporter`; None where nobody measures.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    keeper_image: pulumi.Input[str]
    profile: Profile
    storage_class: pulumi.Input[str]
    passwords: RedisPasswords
    node_loss: int
    exporter_image: pulumi.Input[str] | None = None


@final
@dataclass(frozen=True)
class RedisResources:
    """What was made; each pair is the state role's and the cache role's."""

    auth: tuple[Secret, Secret]
    configuration: tuple[ConfigMap, ConfigMap]
    keeper: ConfigMap
    members: tuple[Service, ...]
    services: tuple[Service, Service]
    network_policies: tuple[NetworkPolicy, NetworkPolicy]
    disruption_budget: PodDisruptionBudget
    stateful_set: StatefulSet
    cache: Deployment


class Redis(Component):
    """Redis for state and Redis for a cache."""

    def __init__(self, name: str, config: RedisConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make both."""
        super().__init__("Redis", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: RedisConfig) -> RedisResources:
        options = self.child(depends_on=[config.namespace])
        auth = (self._auth(REDIS_AUTH_SECRET, config, options), self._auth(REDIS_CACHE_AUTH_SECRET, config, options))
        configuration = tuple(
            ConfigMap(name, metadata=_metadata(name), data={"redis.conf": text}, opts=options)
            for name, text in configurations(config.profile).items()
        )
        keeper = ConfigMap(
            "redis-keeper", metadata=_metadata(f"{REDIS}-keeper", REDIS), data=keeper_programs(), opts=options
        )
        members = tuple(self._member(number, options) for number in range(REDIS_MEMBERS))
        services = (self._headless(options), self._service(options))
        policies = tuple(self._policy(name, config, options) for name in (REDIS, REDIS_CACHE))
        budget = PodDisruptionBudget(
            "redis",
            metadata=_metadata(REDIS),
            spec={"max_unavailable": 1, "selector": {"match_labels": selector(REDIS)}},
            opts=options,
        )
        stateful_set = StatefulSet(
            "redis",
            metadata=_metadata(REDIS),
            spec=stateful_set_spec(config),
            opts=self.child(
                depends_on=[config.namespace, auth[0], configuration[0], keeper, *members, services[0]], timeout="10m"
            ),
        )
        cache = Deployment(
            "redis-cache",
            metadata=_metadata(REDIS_CACHE),
            spec={
                "replicas": 1,
                "selector": {"match_labels": selector(REDIS_CACHE)},
                "template": {
                    "metadata": {
                        "labels": labels(REDIS_CACHE, "cache"),
                        "annotations": {CONTENT_HASH: content_hash(configurations(config.profile)[REDIS_CACHE])},
                    },
                    "spec": cache_pod_spec(config),
                },
            },
            opts=self.child(depends_on=[config.namespace, auth[1], configuration[1]], timeout="10m"),
        )
        return RedisResources(
            auth,
            (configuration[0], configuration[1]),
            keeper,
            members,
            services,
            (policies[0], policies[1]),
            budget,
            stateful_set,
            cache,
        )

    @staticmethod
    def _auth(name: str, config: RedisConfig, options: pulumi.ResourceOptions) -> Secret:
        given = config.passwords
        users = pulumi.Output.all(given.service, given.keeper, given.metrics)
        data: dict[str, pulumi.Input[str]] = {
            "probe": given.metrics,
            "exporter.json": pulumi.Output.from_input(given.metrics).apply(redis_files.exporter_passwords),
            "users.acl": users.apply(lambda all_: redis_files.users(*all_)),
        }
        if name == REDIS_AUTH_SECRET:
            data |= {
                "keeper": given.keeper,
                "sentinel.acl": users.apply(lambda all_: redis_files.sentinel_users(*all_[:2])),
                "replication.conf": pulumi.Output.from_input(given.keeper).apply(redis_files.replication),
            }
        owner = REDIS if name == REDIS_AUTH_SECRET else REDIS_CACHE
        return Secret(name, metadata=_metadata(name, owner), string_data=data, opts=options)

    @staticmethod
    def _member(number: int, options: pulumi.ResourceOptions) -> Service:
        """A Service with an address that stays, for one member; also while it is not ready: it becomes so by it."""
        name = redis_member(number)
        return Service(
            name,
            metadata=_metadata(name, REDIS),
            spec={
                "selector": {**selector(REDIS), "statefulset.kubernetes.io/pod-name": name},
                "publish_not_ready_addresses": True,
                "ports": [
                    {"name": "redis", "port": REDIS_PORT, "target_port": "redis"},
                    {"name": "sentinel", "port": SENTINEL_PORT, "target_port": "sentinel"},
                ],
            },
            opts=options,
        )

    @staticmethod
    def _headless(options: pulumi.ResourceOptions) -> Service:
        return Service(
            "redis",
            metadata=_metadata(REDIS),
            spec={
                "cluster_ip": "None",
                "selector": selector(REDIS),
                "ports": [{"name": "redis", "port": REDIS_PORT, "target_port": "redis"}],
            },
            opts=options,
        )

    @staticmethod
    def _service(options: pulumi.ResourceOptions) -> Service:
        return Service(
            "redis-cache",
            metadata=_metadata(REDIS_CACHE),
            spec={
                "selector": selector(REDIS_CACHE),
                "ports": [{"name": "redis", "port": REDIS_PORT, "target_port": "redis"}],
            },
            opts=options,
        )

    @staticmethod
    def _policy(name: str, config: RedisConfig, options: pulumi.ResourceOptions) -> NetworkPolicy:
        """Services may reach both roles; members of the state role reach each other; Prometheus reaches exporters."""
        services = [environment.value for environment in Environment]
        ports = [REDIS_PORT, SENTINEL_PORT] if name == REDIS else [REDIS_PORT]
        rules = [network.from_namespaces(services, ports)]
        if name == REDIS:
            rules.append(network.from_workload(REDIS, ports))
        rules += network.measured([REDIS_METRICS_PORT], measured=config.exporter_image is not None)
        return NetworkPolicy(name, metadata=_metadata(name), spec=network.reached_by(name, rules), opts=options)


def configurations(profile: Profile) -> dict[str, str]:
    """Name of the ConfigMap -> redis.conf, of both roles."""
    return {
        REDIS: redis_files.state_configuration(profile.redis_maxmemory),
        REDIS_CACHE: redis_files.cache_configuration(profile.redis_cache_maxmemory),
    }


def keeper_programs() -> dict[str, str]:
    """The keeper's programs, as they stand in this repository."""
    return {path.name: path.read_text("utf-8") for path in _PROGRAMS}


def stateful_set_spec(config: RedisConfig) -> StatefulSetSpecArgsDict:
    """The members, all started at once: the first start needs them all, and so does one after all were lost."""
    texts = (configurations(config.profile)[REDIS], *keeper_programs().values())
    return {
        "replicas": REDIS_MEMBERS,
        "service_name": REDIS,
        "pod_management_policy": "Parallel",
        "selector": {"match_labels": selector(REDIS)},
        "template": {
            "metadata": {"labels": labels(REDIS, "state"), "annotations": {CONTENT_HASH: content_hash(*texts)}},
            "spec": state_pod_spec(config),
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


def state_pod_spec(config: RedisConfig) -> PodSpecArgsDict:
    """A member: its Redis, its Sentinel, its keeper."""
    volumes: list[VolumeArgsDict] = [
        {"name": "configuration", "config_map": {"name": REDIS}},
        {"name": "keeper", "config_map": {"name": f"{REDIS}-keeper"}},
        {"name": "auth", "secret": {"secret_name": REDIS_AUTH_SECRET, "default_mode": 0o440}},
        {"name": "tmp", "empty_dir": {"size_limit": "16Mi"}},
    ]
    return {
        **_pod(config, [_redis(config), _sentinel(config), _keeper(config), *_exporter(config)], volumes),
        # As even as the nodes that take pods allow, so it holds on one node too. A member is replaced in its place, so
        # no room for an extra pod is needed.
        "topology_spread_constraints": [
            {
                "max_skew": 1,
                "topology_key": HOSTNAME,
                "when_unsatisfiable": "DoNotSchedule",
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
        "readiness_probe": {"exec_": _asks("PING", "PONG"), "period_seconds": 5, "timeout_seconds": _ASKS_SECONDS + 1},
        "liveness_probe": {"tcp_socket": {"port": "redis"}, "period_seconds": 10, "timeout_seconds": 5},
        "volume_mounts": [
            {"name": "configuration", "mount_path": ETC, "read_only": True},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container
        ],
    }
    volumes: list[VolumeArgsDict] = [
        {"name": "configuration", "config_map": {"name": REDIS_CACHE}},
        {"name": "auth", "secret": {"secret_name": REDIS_CACHE_AUTH_SECRET, "default_mode": 0o440}},
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
        # Ready is who has a role: it serves as master, or its master sends it every write. So a rolling update waits
        # for each member to be whole before it takes the next.
        "readiness_probe": {
            "exec_": _asks("INFO replication", "-E '^(role:master|master_link_status:up)'"),
            "period_seconds": 5,
            "timeout_seconds": _ASKS_SECONDS + 1,
        },
        # Only whether it accepts: a Redis that loads a large file answers LOADING and must not be restarted for it.
        "liveness_probe": {"tcp_socket": {"port": "redis"}, "period_seconds": 10, "timeout_seconds": 5},
        "volume_mounts": [
            {"name": "data", "mount_path": DATA},
            {"name": "configuration", "mount_path": ETC, "read_only": True},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
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
        "readiness_probe": {"tcp_socket": {"port": "sentinel"}, "period_seconds": 5, "timeout_seconds": 3},
        "liveness_probe": {"tcp_socket": {"port": "sentinel"}, "period_seconds": 10, "timeout_seconds": 5},
        "volume_mounts": [
            {"name": "data", "mount_path": DATA},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
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
            f"--alive={_ALIVE}",
        ],
        "env": [
            {"name": "POD", "value_from": {"field_ref": {"field_path": "metadata.name"}}},
            {"name": "PYTHONPATH", "value": _KEEPER},
        ],
        "resources": pods.resources(config.profile.redis_keeper),
        "security_context": pods.container_security(),
        # It touches the file twice a second, unless it hangs.
        "readiness_probe": {"exec_": {"command": ["test", "-e", _ALIVE]}, "period_seconds": 5, "timeout_seconds": 3},
        "liveness_probe": {
            "exec_": {"command": ["sh", "-c", f'test -n "$(find {_ALIVE} -mmin -1)"']},
            "initial_delay_seconds": 60,
            "period_seconds": 20,
            "timeout_seconds": 5,
        },
        "volume_mounts": [
            {"name": "keeper", "mount_path": f"{_KEEPER}/infra/redis_keeper", "read_only": True},
            {"name": "auth", "mount_path": AUTH, "read_only": True},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container
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
            "volume_mounts": [{"name": "auth", "mount_path": AUTH, "read_only": True}],
        }
    ]


def _asks(command: str, expected: str) -> ExecActionArgsDict:
    """The part of a probe that asks Redis something, as the user that may read no data.

    It gives up before the kubelet does, who would end the shell alone: Redis, the container's first process, never
    takes leave of what the shell has left behind.
    """
    asking = f'REDISCLI_AUTH="$(cat {AUTH}/probe)" timeout {_ASKS_SECONDS} redis-cli --user {redis_files.METRICS}'
    asking = f"{asking} {command}"
    return {"command": ["sh", "-c", f"{asking} | grep -q {expected}"]}


def _metadata(name: str, owner: str = "") -> ObjectMetaArgsDict:
    who = owner or name
    return metadata(name, labels(who, "cache" if who == REDIS_CACHE else "state"), namespace=Namespace.DATA.value)
