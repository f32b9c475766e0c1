"""One role of IAM with what it may."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import pulumi
from pulumi_aws.iam import Role, RolePolicy, RolePolicyAttachment

from infra.clusters.eks import policies
from infra.components.base import Component
from infra.naming import object_name

#: Longest name of a role, in characters.
_LIMIT = 64


@final
@dataclass(frozen=True)
class ClusterRoleConfig:
    """Who a role is for.

    Attributes:
        cluster: The cluster's name.
        region: Its region: roles are known in a whole account, clusters in a region.
        part: What of the cluster takes it.
        trust: Who may take it, as a document.
        aws_policies: Names of AWS's own policies that it has.
        own: Further policies, by name, as documents.
    """

    cluster: str
    region: str
    part: str
    trust: str
    aws_policies: tuple[str, ...]
    own: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])


class ClusterRole(Component):
    """A role; what depends on it waits until it may what it must.

    Attributes:
        arn: Its ARN.
    """

    def __init__(self, name: str, config: ClusterRoleConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("EksRole", name, opts)
        role = Role(
            name,
            name=role_name(config.cluster, config.region, config.part),
            assume_role_policy=config.trust,
            opts=self.child(),
        )
        for policy in config.aws_policies:
            RolePolicyAttachment(
                f"{name}-{policy.rpartition('/')[2]}",
                role=role.name,
                policy_arn=policies.aws_policy(config.region, policy),
                opts=self.child(),
            )
        for policy, text in config.own.items():
            RolePolicy(f"{name}-{policy}", name=policy, role=role.name, policy=text, opts=self.child())
        self.arn: pulumi.Output[str] = role.arn
        self.register_outputs({"arn": self.arn})


def role_name(cluster: str, region: str, part: str) -> str:
    """Name of a role: all of Slipway's begin alike, so that who deploys may make these and no others."""
    return object_name("slipway", cluster, region, part, limit=_LIMIT)
