"""The rollout controller: the definition of Rollouts, who may do what with them, and the two pods that carry them out.

What it needs is told by `slipway.rollout.manifests`, as plain data beside the requests that the controller makes, and
tried there on a real API server. Here it gets what only the platform knows: image, priority, waits, network.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.rbac.v1 import RoleBinding

from infra import manifests, naming
from infra.components import connections, network
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.release import Release, ReleaseConfig
from infra.components.scrapes import OBSERVER_SECRET
from infra.labels import NEEDS_API, labels
from infra.naming import Environment, Namespace, Priority
from infra.parts import Parts, Store
from slipway.rollout.manifests import LABELS, NAME, Installation, everything

#: Where `/metrics` and `/livez` are.
PORT: Final = 9090
_CONTAINER: Final = "controller"
_ENVIRONMENT_ROLE: Final = f"{NAME}-environment"


@dataclass(frozen=True)
class RolloutControllerConfig:
    """How it is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `controller`.
        observer: Access to the observers beside HAProxy, which must be there first.
        parts: Where each part is: whom it asks for numbers, and what scrapes it. Without metrics the routers' counts
            alone are judged.
        node_loss: Seconds that its pods stay bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    observer: pulumi.Resource
    parts: Parts
    node_loss: int


@final
@dataclass(frozen=True)
class RolloutControllerResources:
    """What was made."""

    release: Release
    network_policy: NetworkPolicy


class RolloutController(Component):
    """A controller that is ready."""

    def __init__(self, name: str, config: RolloutControllerConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install it."""
        super().__init__("RolloutController", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: RolloutControllerConfig) -> RolloutControllerResources:
        network_policy = NetworkPolicy(
            NAME,
            metadata=metadata(NAME, labels(NAME, "rollout"), namespace=Namespace.ROLLOUT.value),
            spec={
                "pod_selector": {"match_labels": {"app.kubernetes.io/name": NAME}},
                "policy_types": ["Ingress"],
                "ingress": network.scraped([PORT], config.parts.scraped_from),
            },
            opts=self.child(depends_on=[config.namespace]),
        )
        release = Release(
            "release",
            ReleaseConfig(tuple(documents(config)), config.namespace),
            self.child(depends_on=[config.observer]),
        )
        return RolloutControllerResources(release, network_policy)


def documents(config: RolloutControllerConfig) -> list[dict[str, Any]]:
    """The objects of the installation, with what the platform adds."""
    external = config.parts.metrics_external
    installation = Installation(
        image="",  # set below: it is known only when it was pushed
        environments=(),  # an environment's namespace belongs to its service, which binds the rights there
        namespace=Namespace.ROLLOUT.value,
        ingress_namespace=Namespace.INGRESS.value,
        haproxy_selector=f"app.kubernetes.io/name={naming.INGRESS}",
        secrets=connections.secrets(config.parts),
        prometheus=naming.PROMETHEUS_URL if config.parts.metrics is Store.MANAGED else None,
        prometheus_secret=external.secret if external else None,
        reader_secret=OBSERVER_SECRET,
        # What it moves are users' requests, and it must not wait for a place while it does.
        priority_class=Priority.TRAFFIC.value,
    )
    changes = [
        manifests.with_image(config.image, _CONTAINER),
        manifests.with_pod_annotations(**{NEEDS_API: "it reads Rollouts and makes what they ask for"}),
        manifests.with_pod(
            tolerations=manifests.tolerations(config.node_loss),
            topologySpreadConstraints=manifests.spread({"app.kubernetes.io/name": NAME}),
        ),
    ]
    return manifests.change(everything(installation), {("Deployment", NAME): changes})


def environment_rights(environment: Environment, opts: pulumi.ResourceOptions) -> RoleBinding:
    """Let the controller act in an environment's namespace; it may touch no other.

    Args:
        environment: Which.
        opts: Options of the caller; the namespace must be there first.
    """
    return RoleBinding(
        NAME,
        metadata=metadata(NAME, LABELS, namespace=environment.value),
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _ENVIRONMENT_ROLE},
        subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": Namespace.ROLLOUT.value}],
        opts=opts,
    )
