"""CloudNativePG, the operator that runs Postgres, from its own release manifest.

Two of it: while a node with the only operator is lost, nobody would promote a replica until the pod is scheduled anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra import manifests
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.release import Release, ReleaseConfig
from infra.labels import WAIT_FOR, labels
from infra.naming import Namespace, Priority
from infra.profiles import Profile

_DEPLOYMENT: Final = "cnpg-controller-manager"
OPERATOR_CONTAINER: Final = "manager"
#: Labels of its pods, as the release manifest gives them.
OPERATOR_PODS: Final = {"app.kubernetes.io/name": "cloudnative-pg"}
#: The operator writes its certificate into its webhooks once it serves them; before that no cluster can be made.
_WEBHOOK_READY: Final = {WAIT_FOR: "jsonpath={.webhooks[0].clientConfig.caBundle}"}


@dataclass(frozen=True)
class PostgresOperatorConfig:
    """How the operator is installed.

    Attributes:
        documents: Objects of its release manifest, unchanged.
        namespace: The namespace to put it into.
        images: Logical name -> reference; needs `cloudnative-pg`.
        profile: Sizes and counts.
        node_loss: Seconds that a pod of it stays bound to a lost node.
    """

    documents: tuple[dict[str, Any], ...]
    namespace: pulumi.Resource
    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    node_loss: int


@final
@dataclass(frozen=True)
class PostgresOperatorResources:
    """What was made."""

    release: Release
    disruption_budget: PodDisruptionBudget


class PostgresOperator(Component):
    """The operator, ready to be asked for a cluster."""

    def __init__(self, name: str, config: PostgresOperatorConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install it. Raises `ManifestError` if the release manifest lacks an object that is changed here."""
        documents = changed(config)
        super().__init__("PostgresOperator", name, opts)
        self.resources = PostgresOperatorResources(
            Release("cloudnative-pg", ReleaseConfig(tuple(documents), config.namespace), self.child()),
            PodDisruptionBudget(
                "operator",
                metadata=metadata(
                    _DEPLOYMENT, labels(_DEPLOYMENT, "database"), namespace=Namespace.POSTGRES_OPERATOR.value
                ),
                spec={"max_unavailable": 1, "selector": {"match_labels": OPERATOR_PODS}},
                opts=self.child(depends_on=[config.namespace]),
            ),
        )
        self.register_outputs({})


def changed(config: PostgresOperatorConfig) -> list[dict[str, Any]]:
    """The release manifest with our image, size, count and places. Raises `ManifestError`."""
    image = config.images["cloudnative-pg"]
    return manifests.change(
        config.documents,
        {
            ("Deployment", _DEPLOYMENT): [
                manifests.with_image(image, OPERATOR_CONTAINER),
                # The operator copies itself into every Postgres pod, and looks here for which image it is.
                manifests.with_environment(OPERATOR_CONTAINER, "OPERATOR_IMAGE_NAME", image),
                # Another version of the operator replaces that copy while Postgres runs on; else each pod goes, and the
                # primary with them.
                manifests.with_more_environment(OPERATOR_CONTAINER, ENABLE_INSTANCE_MANAGER_INPLACE_UPDATES="true"),
                manifests.with_resources(OPERATOR_CONTAINER, config.profile.operator),
                manifests.with_spec(replicas=config.profile.operator_replicas),
                manifests.with_pod(
                    tolerations=manifests.tolerations(config.node_loss),
                    topologySpreadConstraints=manifests.spread(OPERATOR_PODS),
                    priorityClassName=Priority.DATA.value,
                ),
            ],
            ("MutatingWebhookConfiguration", "cnpg-mutating-webhook-configuration"): [
                manifests.with_annotations(**_WEBHOOK_READY)
            ],
            ("ValidatingWebhookConfiguration", "cnpg-validating-webhook-configuration"): [
                manifests.with_annotations(**_WEBHOOK_READY)
            ],
        },
    )
