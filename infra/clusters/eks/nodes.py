"""The machines that pods run on: one group that AWS keeps, spread over the zones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_aws.ec2 import LaunchTemplate
from pulumi_aws.eks import NodeGroup

from infra.clusters.eks import policies
from infra.clusters.eks.made import Made
from infra.clusters.eks.roles import ClusterRole, ClusterRoleConfig
from infra.components.base import Component
from infra.labels import PART_OF

#: The disk that the image starts from.
_ROOT: Final = "/dev/xvda"
_IMAGE: Final = "AL2023_x86_64_STANDARD"


@final
@dataclass(frozen=True)
class NodesConfig:
    """What the nodes are.

    Attributes:
        made: The cluster that they join.
        subnets: Where they are.
        key: ARN of the key that their disks are encrypted with.
    """

    made: Made
    subnets: Sequence[pulumi.Input[str]]
    key: pulumi.Input[str]


class Nodes(Component):
    """The nodes."""

    def __init__(self, name: str, config: NodesConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them."""
        super().__init__("EksNodes", name, opts)
        made, chosen = config.made, config.made.settings
        role = ClusterRole(
            "node-role",
            ClusterRoleConfig(
                made.cluster_name,
                chosen.region,
                "nodes",
                policies.trusted_by_service("ec2.amazonaws.com"),
                policies.NODE_POLICIES,
            ),
            self.child(),
        )
        template = self._template(config)
        NodeGroup(
            "nodes",
            cluster_name=made.cluster,
            node_role_arn=role.arn,
            subnet_ids=list(config.subnets),
            version=chosen.version,
            ami_type=_IMAGE,
            capacity_type="ON_DEMAND",
            instance_types=[chosen.instance_type],
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config={"min_size": chosen.nodes, "desired_size": chosen.nodes, "max_size": chosen.nodes},
            # One after the other: the budgets of Postgres and HAProxy allow one of theirs away, not two.
            update_config={"max_unavailable": 1},
            labels={"app.kubernetes.io/part-of": PART_OF},
            opts=self.child(depends_on=[role]),
        )
        self.register_outputs({})

    def _template(self, config: NodesConfig) -> LaunchTemplate:
        """How each machine starts. It names no key for SSH and no group: EKS's own group is the only one."""
        made = config.made
        tags = {"Name": f"{made.cluster_name}-node", "slipway.dev/cluster": made.cluster_name}
        return LaunchTemplate(
            "nodes",
            name_prefix=f"slipway-{made.cluster_name}-",
            update_default_version=True,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                # One hop ends at the node itself: pods cannot take the node's role.
                "http_put_response_hop_limit": 1,
                "instance_metadata_tags": "disabled",
            },
            block_device_mappings=[
                {
                    "device_name": _ROOT,
                    "ebs": {
                        "volume_type": "gp3",
                        "volume_size": made.settings.disk,
                        "encrypted": "true",
                        "kms_key_id": config.key,
                        "delete_on_termination": "true",
                    },
                }
            ],
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
            opts=self.child(),
        )
