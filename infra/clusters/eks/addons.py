"""What EKS installs into the cluster: the network of pods, names, identity for pods, volumes.

The network comes before the first node, which would not become ready without it; names and volumes need nodes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
from pulumi_aws.eks import Addon

from infra.clusters.eks import policies
from infra.clusters.eks.made import Made
from infra.clusters.eks.roles import ClusterRole, ClusterRoleConfig
from infra.components.base import Component

_NAMESPACE: Final = "kube-system"
IDENTITY_AGENT: Final = "eks-pod-identity-agent"
NETWORK: Final = "vpc-cni"
PROXY: Final = "kube-proxy"
NAMES: Final = "coredns"
VOLUMES: Final = "aws-ebs-csi-driver"


@final
@dataclass(frozen=True)
class _Pods:
    """Pods of one service account that take a role."""

    part: str
    account: str
    aws_policies: tuple[str, ...]


_NETWORK_PODS: Final = _Pods("network", "aws-node", policies.NETWORK_POLICIES)
_VOLUME_PODS: Final = _Pods("volumes", "ebs-csi-controller-sa", policies.VOLUME_POLICIES)


class NetworkAddons(Component):
    """What a node needs before it is ready, and identity, which the network's pods take theirs by."""

    def __init__(self, name: str, made: Made, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install them."""
        super().__init__("EksNetworkAddons", name, opts)
        agent = _addon(made, IDENTITY_AGENT, self.child())
        role = _role(made, _NETWORK_PODS, self.child())
        _addon(
            made,
            NETWORK,
            self.child(depends_on=[agent, role]),
            values={"enableNetworkPolicy": "true" if made.settings.network_policies else "false"},
            identity={_NETWORK_PODS.account: role},
        )
        _addon(made, PROXY, self.child())
        self.register_outputs({})


class NodeAddons(Component):
    """What runs on nodes: names, and volumes that EBS makes."""

    def __init__(
        self,
        name: str,
        made: Made,
        key: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Install them; `key` is the ARN of what volumes are encrypted with."""
        super().__init__("EksNodeAddons", name, opts)
        _addon(made, NAMES, self.child())
        own = {"key-of-disks": pulumi.Output.from_input(key).apply(policies.use_of_key)}
        role = _role(made, _VOLUME_PODS, self.child(), own)
        _addon(
            made,
            VOLUMES,
            self.child(depends_on=[role]),
            # A volume that outlives its cluster can be found by it.
            values={"controller": {"extraVolumeTags": {"slipway.dev/cluster": made.cluster_name}}},
            identity={_VOLUME_PODS.account: role},
        )
        self.register_outputs({})


def _addon(
    made: Made,
    name: str,
    opts: pulumi.ResourceOptions,
    *,
    values: Mapping[str, Any] | None = None,
    identity: Mapping[str, ClusterRole] | None = None,
) -> Addon:
    """One of EKS's add-ons, in the version that AWS takes for the cluster's; what others changed in it is undone."""
    return Addon(
        name,
        cluster_name=made.cluster,
        addon_name=name,
        configuration_values=json.dumps(values) if values else None,
        pod_identity_associations=[
            {"service_account": account, "role_arn": role.arn} for account, role in (identity or {}).items()
        ]
        or None,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=opts,
    )


def _role(
    made: Made,
    pods: _Pods,
    opts: pulumi.ResourceOptions,
    own: Mapping[str, pulumi.Input[str]] | None = None,
) -> ClusterRole:
    """The role that pods of one service account take."""
    chosen = made.settings
    cluster = policies.cluster_arn(chosen.account, chosen.region, made.cluster_name)
    return ClusterRole(
        f"{pods.part}-role",
        ClusterRoleConfig(
            made.cluster_name,
            chosen.region,
            pods.part,
            policies.trusted_by_pods(cluster, _NAMESPACE, pods.account),
            pods.aws_policies,
            own or {},
        ),
        opts,
    )
