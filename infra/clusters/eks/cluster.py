"""The whole cluster, and its hand-over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import pulumi
import pulumi_aws
import pulumi_kubernetes
from pulumi_kubernetes.storage.v1 import StorageClass

from infra.clusters.eks import access, policies
from infra.clusters.eks.addons import NetworkAddons, NodeAddons
from infra.clusters.eks.control_plane import ControlPlane, ControlPlaneConfig, sealed
from infra.clusters.eks.layout import share_out
from infra.clusters.eks.made import Made
from infra.clusters.eks.network import ClusterNetwork, ClusterNetworkConfig
from infra.clusters.eks.nodes import Nodes, NodesConfig
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.handover import Capabilities, Cluster
from infra.labels import labels
from infra.settings.eks import EksSettings

STORAGE_CLASS: Final = "gp3"
_LOAD_BALANCER: Final = "service.beta.kubernetes.io/aws-load-balancer"


@final
@dataclass(frozen=True)
class EksConfig:
    """Which cluster.

    Attributes:
        name: Its name.
        settings: What the stack chose.
    """

    name: str
    settings: EksSettings


class EksCluster(Component):
    """A cluster of EKS with its own network.

    Attributes:
        kubeconfig: How it is reached; no secret is in it.
        identifier: What tells it from another.
    """

    def __init__(self, name: str, config: EksConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("EksCluster", name, opts)
        chosen = config.settings
        network = ClusterNetwork(
            "network",
            ClusterNetworkConfig(
                config.name, chosen.network, share_out(chosen.network, chosen.zone_names), chosen.nat_per_zone
            ),
            self.child(),
        )
        control_plane = ControlPlane(
            "control-plane", ControlPlaneConfig(config.name, chosen, network.private), self.child()
        )
        disks = sealed("disks", config.name, policies.key_of_disks(chosen.account, chosen.region), self.child())
        made = Made(control_plane.name, config.name, chosen)
        before = NetworkAddons("network-addons", made, self.child())
        nodes = Nodes(
            "nodes",
            NodesConfig(made, network.private, disks.arn),
            self.child(depends_on=[network, before]),
        )
        NodeAddons("node-addons", made, disks.arn, self.child(depends_on=[nodes]))
        reached = pulumi.Output.all(control_plane.endpoint, control_plane.authority)
        self.kubeconfig: pulumi.Output[str] = reached.apply(
            lambda it: access.kubeconfig(config.name, chosen.region, it[0], it[1])
        )
        self.identifier: pulumi.Output[str] = reached.apply(lambda it: access.identifier(it[0], it[1]))
        self._storage(config.name, control_plane, disks.arn)
        self.register_outputs({"kubeconfig": self.kubeconfig, "identifier": self.identifier})

    def _storage(self, name: str, control_plane: ControlPlane, key: pulumi.Input[str]) -> None:
        """The default class for volumes: encrypted, in the zone of the pod that first wants it, able to grow."""
        inside = pulumi_kubernetes.Provider(
            "inside",
            kubeconfig=self.kubeconfig,
            context=name,
            cluster_identifier=self.identifier,
            opts=self.child(depends_on=[control_plane]),
        )
        StorageClass(
            STORAGE_CLASS,
            metadata=metadata(
                STORAGE_CLASS,
                labels(STORAGE_CLASS, "storage"),
                annotations={"storageclass.kubernetes.io/is-default-class": "true"},
            ),
            provisioner="ebs.csi.aws.com",
            parameters={
                "type": "gp3",
                "encrypted": "true",
                "kmsKeyId": key,
                "csi.storage.k8s.io/fstype": "ext4",
            },
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            reclaim_policy="Delete",
            opts=pulumi.ResourceOptions.merge(self.child(), pulumi.ResourceOptions(provider=inside)),
        )


def eks(config: EksConfig) -> Cluster:
    """Make a cluster and hand it over.

    Args:
        config: Which one.
    """
    chosen = config.settings
    provider = pulumi_aws.Provider(
        "aws",
        region=chosen.region,
        # Credentials of another account stop here, before anything is made there.
        allowed_account_ids=[chosen.account],
        default_tags={"tags": {"slipway.dev/cluster": config.name}},
    )
    made = EksCluster("cluster", config, pulumi.ResourceOptions(providers=[provider]))
    return Cluster(
        kubeconfig=made.kubeconfig,
        context=config.name,
        identifier=made.identifier,
        capabilities=Capabilities(
            load_balancer=True,
            local_images=False,
            storage_class=STORAGE_CLASS,
            load_balancer_annotations=load_balancer(internal=chosen.internal_load_balancer),
        ),
    )


def load_balancer(*, internal: bool) -> Mapping[str, str]:
    """What HAProxy's Service must say to get a network load balancer that passes connections on as they are.

    Args:
        internal: Whether it is reached from inside the VPC only.
    """
    return {
        f"{_LOAD_BALANCER}-type": "nlb",
        # A zone whose HAProxy is away is served by those of the others.
        f"{_LOAD_BALANCER}-cross-zone-load-balancing-enabled": "true",
        **({f"{_LOAD_BALANCER}-internal": "true"} if internal else {}),
    }
