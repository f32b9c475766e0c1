"""PgBouncer before Postgres: connections of many pods become few of the server, lent for one transaction at a time.

One pair stands before the primary, one before the replicas; the operator makes the pods. What a session keeps (SET,
LISTEN, locks of the session, prepared statements of SQL) does not pass: migrations go around them (docs/adr/0110).
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra import manifests
from infra.components import network
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.postgres import API
from infra.labels import WAIT_FOR, labels, pooler_pods
from infra.naming import (
    POOLER_METRICS_PORT,
    POOLERS,
    POSTGRES,
    POSTGRES_PORT,
    Environment,
    Namespace,
    Priority,
)
from infra.profiles import Profile
from infra.timeouts import PoolerTimeouts

POOLER_CONTAINER: Final = "pgbouncer"
#: Pods of each; one more while they are rolled.
REPLICAS: Final = 2
SURGE: Final = 1
#: Clients that one pod bears: all of them, should it be the last.
CLIENTS: Final = 2000
#: Connections of each server that poolers leave to others: superusers, the operator, migrations, who looks into it.
RESERVED: Final = 40
_LIFETIME: Final = 300  # seconds, as in the service's own pool: who was a replica does not stay one here for long
_IDLE: Final = 60
#: Until nobody sends new connections to a pod that stops.
_LEAVES: Final = 5


@dataclass(frozen=True)
class PoolersConfig:
    """How poolers are run.

    Attributes:
        namespace: The namespace to put them into.
        image: Reference of the image `pgbouncer`.
        profile: Sizes, and how many connections Postgres accepts.
        timeouts: Waits.
        node_loss: Seconds that a pod stays bound to a lost node.
        dns: Seconds until a pod asks the next name server.
        scraper: Namespace of whoever scrapes; None if nobody does.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    timeouts: PoolerTimeouts
    node_loss: int
    dns: int
    scraper: str | None


@final
@dataclass(frozen=True)
class PoolersResources:
    """What was made, for each pooler one, in the order of `POOLERS`."""

    poolers: tuple[CustomResource, ...]
    disruption_budgets: tuple[PodDisruptionBudget, ...]
    network_policies: tuple[NetworkPolicy, ...]


class Poolers(Component):
    """Poolers; Postgres must be there before them."""

    def __init__(self, name: str, config: PoolersConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them."""
        super().__init__("Poolers", name, opts)
        # A stack that wants none any more leaves them: services use them until their own stack has rolled out. They go
        # with the namespace, or by hand.
        kept = pulumi.ResourceOptions(retain_on_delete=True)
        options = pulumi.ResourceOptions.merge(self.child(depends_on=[config.namespace]), kept)
        self.resources = PoolersResources(
            tuple(self._pooler(name, config, kept) for name in POOLERS),
            tuple(
                PodDisruptionBudget(
                    name,
                    metadata=_metadata(name),
                    spec={"max_unavailable": 1, "selector": {"match_labels": pooler_pods(name)}},
                    opts=options,
                )
                for name in POOLERS
            ),
            tuple(
                NetworkPolicy(
                    name,
                    metadata=_metadata(name),
                    spec={
                        "pod_selector": {"match_labels": pooler_pods(name)},
                        "policy_types": ["Ingress"],
                        "ingress": [
                            network.from_namespaces([it.value for it in Environment], [POSTGRES_PORT]),
                            *network.scraped([POOLER_METRICS_PORT], config.scraper),
                        ],
                    },
                    opts=options,
                )
                for name in POOLERS
            ),
        )
        self.register_outputs({})

    def _pooler(self, name: str, config: PoolersConfig, kept: pulumi.ResourceOptions) -> CustomResource:
        return CustomResource(
            name,
            api_version=API,
            kind="Pooler",
            metadata=metadata(
                name,
                labels(name, "pooler"),
                namespace=Namespace.DATA.value,
                annotations={WAIT_FOR: "jsonpath={.status.phase}=active"},
            ),
            spec=pooler_spec(name, config),
            opts=pulumi.ResourceOptions.merge(self.child(depends_on=[config.namespace], timeout="5m"), kept),
        )


def _metadata(name: str) -> Any:
    return metadata(name, labels(name, "pooler"), namespace=Namespace.DATA.value)


def pool_size(profile: Profile) -> int:
    """Connections that one pod opens for one database at most.

    Each pod has a pool for every environment, and one in which it looks passwords up. A replica that was just promoted
    has both poolers' connections for some minutes, so one server must bear all pods of both, also while they are
    rolled.
    """
    pods = len(POOLERS) * (REPLICAS + SURGE)
    return (profile.postgres_connections - RESERVED) // (pods * (len(Environment) + 1))


def parameters(size: int, timeouts: PoolerTimeouts) -> dict[str, str]:
    """What PgBouncer is told, besides what the operator tells it."""
    return {
        "max_client_conn": str(CLIENTS),
        "default_pool_size": str(size),
        "max_db_connections": str(size),
        "client_tls_sslmode": "require",
        "server_connect_timeout": str(timeouts.connect),
        "tcp_user_timeout": str(timeouts.unacknowledged * 1000),
        # A server that vanished without a word while nothing was sent.
        "tcp_keepidle": "5",
        "tcp_keepintvl": "2",
        "tcp_keepcnt": "3",
        # By themselves 15 s, 120 s and 60 s: writes would begin again so much later than Postgres does.
        "server_login_retry": f"{timeouts.retry:g}",
        "query_wait_timeout": str(timeouts.queue),
        "client_login_timeout": str(timeouts.connect + timeouts.queue),
        "server_lifetime": str(_LIFETIME),
        "server_idle_timeout": str(_IDLE),
    }


def pooler_spec(name: str, config: PoolersConfig) -> dict[str, Any]:
    """The specification of a `Pooler` object."""
    size = config.profile.pooler
    return {
        "cluster": {"name": POSTGRES},
        "type": POOLERS[name],
        "instances": REPLICAS,
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": SURGE, "maxUnavailable": 0}},
        "pgbouncer": {
            "image": config.image,
            "poolMode": "transaction",
            "parameters": parameters(pool_size(config.profile), config.timeouts),
        },
        # User, dropped capabilities and the read-only root are the operator's own, as for Postgres.
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": POOLER_CONTAINER,
                        "imagePullPolicy": "IfNotPresent",
                        "resources": {"requests": size.requests(), "limits": size.limits()},
                        "lifecycle": {"preStop": {"sleep": {"seconds": _LEAVES}}},
                    }
                ],
                "priorityClassName": Priority.DATA.value,
                "tolerations": manifests.tolerations(config.node_loss),
                "topologySpreadConstraints": manifests.spread(pooler_pods(name)),
                "dnsConfig": {"options": [{"name": "timeout", "value": str(config.dns)}]},
            }
        },
    }
