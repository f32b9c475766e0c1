"""Elasticsearch: keeps what pods print, reached over TLS by users of a file, each with the least that it needs.

The users are in files, as hashes, not in an index: they are there before the first node is, they survive the loss of
every index, and nobody has to be the superuser to make them.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import pulumi
import yaml
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgsDict
from pulumi_kubernetes.core.v1 import ConfigMap, ContainerArgsDict, PodSpecArgsDict, Secret, Service
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra import versions
from infra.components import network, pods
from infra.components.base import Component
from infra.components.certificates import Authority, GeneratedCertificate
from infra.components.generated import GeneratedPassword
from infra.components.metadata import metadata
from infra.labels import CONTENT_HASH, HOSTNAME, content_hash, labels, selector
from infra.naming import (
    ELASTICSEARCH,
    ELASTICSEARCH_HOST,
    ELASTICSEARCH_PORT,
    LOG_INDEX,
    TRACE_INDEX,
    Namespace,
    Priority,
    cluster_host,
)
from infra.profiles import Profile

USER: Final = 1000
#: Other nodes are found and reached there.
_TRANSPORT: Final = 9300
#: Open exactly while the node takes requests.
_READY: Final = 9399
_MEMBERS: Final = f"{ELASTICSEARCH}-members"
_HOME: Final = "/usr/share/elasticsearch"
_ETC: Final = "/etc/elasticsearch"
_GIVEN: Final = ("/run/configuration", "/run/secrets/elasticsearch")
#: Rounds of PBKDF2. The passwords have 256 random bits, so none is found by trying however few they are.
_ROUNDS: Final = 10_000

_INDICES: Final = f"{LOG_INDEX}-*"
_TRACES: Final = f"{TRACE_INDEX}-*"
#: The user that keeps spans and finds them.
TRACER: Final = "jaeger"
#: User, and role of the same name -> what it may do.
ROLES: Final[Mapping[str, Mapping[str, object]]] = {
    # It may add lines, and change or read none.
    "collector": {"indices": [{"names": [_INDICES], "privileges": ["create_doc", "auto_configure"]}]},
    "keeper": {
        "cluster": ["manage_index_templates", "monitor"],
        "indices": [{"names": [_INDICES, _TRACES], "privileges": ["delete_index", "monitor"]}],
    },
    "reader": {"indices": [{"names": [_INDICES], "privileges": ["read", "view_index_metadata"]}]},
}
#: The same for who keeps spans, where they are kept. Jaeger writes them under names of its own: more than adding.
TRACING: Final[Mapping[str, Mapping[str, object]]] = {
    TRACER: {
        "cluster": ["manage_index_templates", "monitor"],
        "indices": [{"names": [_TRACES], "privileges": ["auto_configure", "index", "read", "view_index_metadata"]}],
    }
}


_LOG4J: Final = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = ECSJsonLayout
appender.console.layout.dataset = elasticsearch.server
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
# The core has no query rules, which roles that are built in speak of: it says so at each start.
logger.roles.name = org.elasticsearch.xpack.security.support.QueryableBuiltInRolesSynchronizer
logger.roles.level = error
"""


@dataclass(frozen=True)
class ElasticsearchConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `elasticsearch`.
        profile: Sizes and counts.
        storage_class: Class of its volumes.
        authority: Who signs its certificate.
        traced: Whether spans are kept here too.
        node_loss: Seconds that a pod stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    storage_class: pulumi.Input[str]
    authority: Authority
    traced: bool
    node_loss: int

    @property
    def reached_from(self) -> Sequence[str]:
        """Where those are that may reach it."""
        traces = [Namespace.TRACES.value] if self.traced else []
        return [Namespace.LOGS.value, Namespace.NODE_LOGS.value, *traces]

    @property
    def roles(self) -> Mapping[str, Mapping[str, object]]:
        """User -> what it may do."""
        return {**ROLES, **(TRACING if self.traced else {})}


@final
@dataclass(frozen=True)
class ElasticsearchResources:
    """What was made."""

    secret: Secret
    configuration: ConfigMap
    services: tuple[Service, Service]
    network_policy: NetworkPolicy
    stateful_set: StatefulSet
    disruption_budget: PodDisruptionBudget | None


class Elasticsearch(Component):
    """An Elasticsearch that takes requests.

    Attributes:
        passwords: User -> password, secret.
    """

    def __init__(self, name: str, config: ElasticsearchConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Elasticsearch", name, opts)
        self.passwords: Mapping[str, pulumi.Output[str]] = {
            user: GeneratedPassword(f"elasticsearch-{user}", opts=self.child()).password for user in config.roles
        }
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: ElasticsearchConfig) -> ElasticsearchResources:
        options = self.child(depends_on=[config.namespace])
        pair = GeneratedCertificate("elasticsearch", hosts(), config.authority, opts=self.child())
        users = pulumi.Output.all(**self.passwords).apply(users_file)
        secret = Secret(
            "own",
            metadata=_named(ELASTICSEARCH),
            string_data={
                "tls.crt": pair.certificate,
                "tls.key": pair.private_key,
                "ca.crt": config.authority.certificate,
                "users": pulumi.Output.secret(users),
            },
            opts=options,
        )
        configuration = ConfigMap(
            "configuration",
            metadata=_named(ELASTICSEARCH),
            data=configuration_files(config.profile, config.roles),
            opts=options,
        )
        services = (
            Service(
                "elasticsearch",
                metadata=_named(ELASTICSEARCH),
                spec={
                    "selector": selector(ELASTICSEARCH),
                    "ports": [{"name": "https", "port": ELASTICSEARCH_PORT, "target_port": "https"}],
                },
                opts=self.child(depends_on=[config.namespace]),
            ),
            Service(
                "members",
                metadata=metadata(
                    _MEMBERS,
                    _labels(),
                    namespace=Namespace.LOGS.value,
                    annotations={"pulumi.com/skipAwait": "true"},
                ),
                spec={
                    "cluster_ip": "None",
                    "publish_not_ready_addresses": True,
                    "selector": selector(ELASTICSEARCH),
                    "ports": [{"name": "transport", "port": _TRANSPORT, "target_port": "transport"}],
                },
                opts=options,
            ),
        )
        policy = NetworkPolicy(
            "elasticsearch",
            metadata=_named(ELASTICSEARCH),
            spec=network.reached_by(
                ELASTICSEARCH,
                [
                    network.from_namespaces(config.reached_from, [ELASTICSEARCH_PORT]),
                    network.from_namespaces([Namespace.LOGS.value], [_TRANSPORT]),
                ],
            ),
            opts=options,
        )
        stateful_set = StatefulSet(
            "elasticsearch",
            metadata=_named(ELASTICSEARCH),
            spec=stateful_set_spec(config, pulumi.Output.all(pair.certificate, users)),
            opts=self.child(depends_on=[config.namespace, secret, configuration, services[1]], timeout="10m"),
        )
        budget = None
        if config.profile.elasticsearch_replicas > 1:
            budget = PodDisruptionBudget(
                "elasticsearch",
                metadata=_named(ELASTICSEARCH),
                spec={"max_unavailable": 1, "selector": {"match_labels": selector(ELASTICSEARCH)}},
                opts=options,
            )
        return ElasticsearchResources(secret, configuration, services, policy, stateful_set, budget)


def access_data(certificate: pulumi.Input[str], password: pulumi.Input[str]) -> Mapping[str, pulumi.Input[str]]:
    """What a Secret holds with which a user reaches it: whom to trust, and the user's password."""
    return {"ca.crt": certificate, "password": password}


def hosts() -> tuple[str, ...]:
    """The names that its certificate is made out to: inside the cluster, and at the end of a forwarded port."""
    return (ELASTICSEARCH_HOST, cluster_host(_MEMBERS, Namespace.LOGS), "localhost")


def hashed(password: str) -> str:
    """A password as Elasticsearch keeps it: PBKDF2 with HMAC-SHA512, 256 bits.

    The salt is made of the password itself, so that the same password always gives the same text: a random one would
    change the Secret at each `pulumi up`. A salt keeps equal passwords of people apart; these are random.
    """
    salt = hashlib.sha256(b"elasticsearch" + password.encode()).digest()
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, 32)
    return f"{{PBKDF2}}{_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(derived).decode()}"


def users_file(passwords: Mapping[str, str]) -> str:
    """The users in the notation of the realm `file`."""
    return "".join(f"{user}:{hashed(password)}\n" for user, password in sorted(passwords.items()))


def configuration_files(profile: Profile, roles: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Name -> content of each file that holds no secret, for these users."""
    return {
        "elasticsearch.yml": yaml.safe_dump(settings(profile), sort_keys=False),
        "roles.yml": yaml.safe_dump({user: dict(role) for user, role in roles.items()}, sort_keys=False),
        "users_roles": "".join(f"{user}:{user}\n" for user in roles),
        "jvm.options": "\n".join(
            (
                f"-Xms{profile.elasticsearch_heap}m",
                f"-Xmx{profile.elasticsearch_heap}m",
                "-XX:+UseG1GC",
                "-XX:+ExitOnOutOfMemoryError",
                "-XX:ErrorFile=/tmp/hs_err_pid%p.log",
                "-Djava.io.tmpdir=${ES_TMPDIR}",
                "20-:--add-modules=jdk.incubator.vector",
                "",
            )
        ),
        "log4j2.properties": _LOG4J,
    }


def settings(profile: Profile) -> dict[str, object]:
    """`elasticsearch.yml`."""
    count = profile.elasticsearch_replicas
    members: dict[str, object] = {"discovery.type": "single-node"}
    if count > 1:
        members = {
            "discovery.seed_hosts": [cluster_host(_MEMBERS, Namespace.LOGS)],
            # Read once, when the first of them forms a cluster.
            "cluster.initial_master_nodes": [f"{ELASTICSEARCH}-{number}" for number in range(count)],
        }
    return {
        "cluster.name": "slipway-logs",
        "node.name": "${HOSTNAME}",
        "path.data": "/data",
        "path.logs": "/var/log/elasticsearch",
        "network.host": "0.0.0.0",  # noqa: S104  # of the pod
        "readiness.port": _READY,
        # Mapping files asks for a setting of the machine's kernel that a pod cannot make.
        "node.store.allow_mmap": False,
        **members,
        "xpack.security.enabled": True,
        "xpack.security.http.ssl": {"enabled": True, "certificate": "tls.crt", "key": "tls.key"},
        "xpack.security.transport.ssl": {
            "enabled": True,
            "certificate": "tls.crt",
            "key": "tls.key",
            "certificate_authorities": ["ca.crt"],
            "verification_mode": "certificate",
        },
        "xpack.security.authc.realms": {
            "file.users": {"order": 0},
            "native.native1": {"enabled": False, "order": 1},
        },
    }


def stateful_set_spec(config: ElasticsearchConfig, secret: pulumi.Input[object]) -> StatefulSetSpecArgsDict:
    """Its pods.

    Args:
        config: How it is run.
        secret: What makes new pods when it changes, besides the configuration.
    """
    profile = config.profile
    content = pulumi.Output.all(secret, configuration_files(profile, config.roles)).apply(
        lambda it: content_hash(repr(it))
    )
    return {
        "replicas": profile.elasticsearch_replicas,
        "service_name": _MEMBERS,
        # Three of them elect the first master together: none is ready before.
        "pod_management_policy": "Parallel",
        "selector": {"match_labels": selector(ELASTICSEARCH)},
        "template": {
            "metadata": {"labels": _labels(), "annotations": {CONTENT_HASH: pulumi.Output.unsecret(content)}},
            "spec": _pod_spec(config),
        },
        "volume_claim_templates": [
            {
                "metadata": {"name": "data"},
                "spec": {
                    "access_modes": ["ReadWriteOnce"],
                    "storage_class_name": config.storage_class,
                    "resources": {"requests": {"storage": profile.elasticsearch_storage}},
                },
            }
        ],
    }


def _pod_spec(config: ElasticsearchConfig) -> PodSpecArgsDict:
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "priority_class_name": Priority.OBSERVABILITY.value,
        "security_context": pods.pod_security(USER),
        "termination_grace_period_seconds": 60,
        "tolerations": pods.tolerations(config.node_loss),
        "topology_spread_constraints": [
            {
                "max_skew": 1,
                "topology_key": HOSTNAME,
                "when_unsatisfiable": "ScheduleAnyway",
                "label_selector": {"match_labels": selector(ELASTICSEARCH)},
            }
        ],
        "init_containers": [_init(config)],
        "containers": [_container(config)],
        "volumes": [
            {"name": "etc", "empty_dir": {"size_limit": "1Mi"}},
            {"name": "configuration", "config_map": {"name": ELASTICSEARCH}},
            {"name": "secrets", "secret": {"secret_name": ELASTICSEARCH, "default_mode": 0o440}},
            {"name": "logs", "empty_dir": {"size_limit": "64Mi"}},
            {"name": "tmp", "empty_dir": {"size_limit": "256Mi"}},
        ],
    }


def _init(config: ElasticsearchConfig) -> ContainerArgsDict:
    """It writes a key store beside its configuration, so the folder cannot be one of a Secret.

    After a cold start of its node the pod is the same and so is the folder: what is there is replaced, `-f`.
    """
    return {
        "name": "configuration",
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "command": ["sh", "-c", f"cp -f {' '.join(f'{folder}/*' for folder in _GIVEN)} {_ETC}/"],
        "resources": pods.resources(config.profile.log_keeper),
        "security_context": pods.container_security(),
        "volume_mounts": [
            {"name": "etc", "mount_path": _ETC},
            {"name": "configuration", "mount_path": _GIVEN[0], "read_only": True},
            {"name": "secrets", "mount_path": _GIVEN[1], "read_only": True},
        ],
    }


def _container(config: ElasticsearchConfig) -> ContainerArgsDict:
    return {
        "name": ELASTICSEARCH,
        "image": config.image,
        "image_pull_policy": "IfNotPresent",
        "command": [f"{_HOME}/bin/elasticsearch"],
        "env": [
            {"name": "ES_PATH_CONF", "value": _ETC},
            {"name": "ES_TMPDIR", "value": "/tmp"},  # noqa: S108  # a folder of the container, empty at each start
            # The program that starts the server and then only waits for it.
            {"name": "CLI_JAVA_OPTS", "value": "-Xms8m -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"},
        ],
        "ports": [
            {"name": "https", "container_port": ELASTICSEARCH_PORT},
            {"name": "transport", "container_port": _TRANSPORT},
            {"name": "ready", "container_port": _READY},
        ],
        "resources": pods.resources(config.profile.elasticsearch),
        "security_context": pods.container_security(),
        "startup_probe": {"tcp_socket": {"port": "ready"}, "period_seconds": 2, "failure_threshold": 150},
        "readiness_probe": {"tcp_socket": {"port": "ready"}, "period_seconds": 5, "timeout_seconds": 3},
        # Not the port above: a node without a master is not ready, and a restart would not find it one.
        "liveness_probe": {
            "tcp_socket": {"port": "https"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 6,
        },
        "volume_mounts": [
            {"name": "data", "mount_path": "/data"},
            {"name": "etc", "mount_path": _ETC},
            {"name": "logs", "mount_path": "/var/log/elasticsearch"},
            {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  # a folder of the container, empty at each start
        ],
    }


def _named(name: str) -> ObjectMetaArgsDict:
    return metadata(name, _labels(), namespace=Namespace.LOGS.value)


def _labels() -> dict[str, str]:
    return labels(ELASTICSEARCH, "logs", version=versions.ELASTICSEARCH)
