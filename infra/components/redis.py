"""Redis in two roles: state, which survives the loss of any member, and a cache, which may be lost.

The state role is three members with a Sentinel and a keeper each. Members name each other by the addresses of Services
of their own, which stay when pods go; the keeper gives each its role (docs/adr/0060). What must not be lost is in
Postgres all the same: replication of Redis is asynchronous, so an acknowledged write can be.

Everything speaks TLS, and nothing else is answered (docs/adr/0104). Members are called by addresses, so the
certificate names those too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgsDict, StatefulSet, StatefulSetSpecArgsDict
from pulumi_kubernetes.core.v1 import ConfigMap, Secret, Service
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra import redis_keeper
from infra.components import network, redis_files
from infra.components.base import Component
from infra.components.certificates import GeneratedCertificate
from infra.components.metadata import metadata
from infra.components.redis_pods import RedisConfig, cache_pod_spec, state_pod_spec
from infra.labels import CONTENT_HASH, content_hash, labels, selector
from infra.naming import (
    REDIS,
    REDIS_AUTH_SECRET,
    REDIS_CACHE,
    REDIS_CACHE_AUTH_SECRET,
    REDIS_CACHE_HOST,
    REDIS_CACHE_TLS_SECRET,
    REDIS_MEMBERS,
    REDIS_METRICS_PORT,
    REDIS_PORT,
    REDIS_TLS_SECRET,
    SENTINEL_PORT,
    Environment,
    Namespace,
    cluster_host,
    redis_member,
)
from infra.profiles import Profile

#: Its programs, by the name of the file; the folder in the pod has the same names, so that its imports hold.
_PROGRAMS: Final = tuple(sorted(Path(redis_keeper.__file__).parent.glob("*.py")))
#: By what a pod asks itself, in either role.
_LOOPBACK: Final = ("localhost", "127.0.0.1")
#: Members that speak TLS and members that do not cannot follow each other, so a set of the one kind cannot become one
#: of the other member by member. A selector never changes: this label makes Kubernetes end the set, and make it anew.
_SPEAKS: Final = {"slipway.dev/speaks": "tls"}


@final
@dataclass(frozen=True)
class RedisResources:
    """What was made; each pair is the state role's and the cache role's."""

    auth: tuple[Secret, Secret]
    certificates: tuple[GeneratedCertificate, GeneratedCertificate]
    tls: tuple[Secret, Secret]
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
        certificates = (
            GeneratedCertificate("redis", self._names(members), config.authority, opts=self.child()),
            GeneratedCertificate("redis-cache", (REDIS_CACHE_HOST, *_LOOPBACK), config.authority, opts=self.child()),
        )
        tls = (
            self._tls(REDIS_TLS_SECRET, REDIS, certificates[0], config, options),
            self._tls(REDIS_CACHE_TLS_SECRET, REDIS_CACHE, certificates[1], config, options),
        )
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
                depends_on=[config.namespace, auth[0], tls[0], configuration[0], keeper, *members, services[0]],
                timeout="10m",
            ),
        )
        cache = Deployment(
            "redis-cache",
            metadata=_metadata(REDIS_CACHE),
            spec=cache_spec(config, certificates[1].certificate),
            opts=self.child(depends_on=[config.namespace, auth[1], tls[1], configuration[1]], timeout="10m"),
        )
        return RedisResources(
            auth,
            certificates,
            tls,
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
    def _names(members: Sequence[Service]) -> list[pulumi.Input[str]]:
        """By what members are called: by their names, by the addresses of their Services, and by themselves."""
        hosts = [cluster_host(redis_member(number), Namespace.DATA) for number in range(REDIS_MEMBERS)]
        return [*hosts, *_LOOPBACK, *(member.spec.cluster_ip for member in members)]

    @staticmethod
    def _tls(
        name: str,
        owner: str,
        certificate: GeneratedCertificate,
        config: RedisConfig,
        options: pulumi.ResourceOptions,
    ) -> Secret:
        files: dict[str, pulumi.Input[str]] = {
            "ca.crt": config.authority.certificate,
            "tls.crt": certificate.certificate,
            "tls.key": certificate.private_key,
        }
        return Secret(name, metadata=_metadata(name, owner), string_data=files, opts=options)

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
        rules += network.scraped([REDIS_METRICS_PORT], config.scraper)
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


def cache_spec(config: RedisConfig, certificate: pulumi.Input[str]) -> DeploymentSpecArgsDict:
    """The cache. A new certificate makes a new pod, which costs no more than what it remembered.

    Args:
        config: How it is run.
        certificate: Its own, in PEM.
    """
    text = configurations(config.profile)[REDIS_CACHE]
    content = pulumi.Output.from_input(certificate).apply(lambda it: content_hash(text, it))
    return {
        "replicas": 1,
        "selector": {"match_labels": selector(REDIS_CACHE)},
        "template": {
            "metadata": {"labels": labels(REDIS_CACHE, "cache"), "annotations": {CONTENT_HASH: content}},
            "spec": cache_pod_spec(config),
        },
    }


def stateful_set_spec(config: RedisConfig) -> StatefulSetSpecArgsDict:
    """The members, all started at once: the first start needs them all, and so does one after all were lost.

    A new certificate is no reason for new pods: keepers see to it that it is taken over.
    """
    texts = (configurations(config.profile)[REDIS], *keeper_programs().values())
    return {
        "replicas": REDIS_MEMBERS,
        "service_name": REDIS,
        "pod_management_policy": "Parallel",
        "selector": {"match_labels": {**selector(REDIS), **_SPEAKS}},
        "template": {
            "metadata": {
                "labels": {**labels(REDIS, "state"), **_SPEAKS},
                "annotations": {CONTENT_HASH: content_hash(*texts)},
            },
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


def _metadata(name: str, owner: str = "") -> ObjectMetaArgsDict:
    who = owner or name
    return metadata(name, labels(who, "cache" if who == REDIS_CACHE else "state"), namespace=Namespace.DATA.value)
