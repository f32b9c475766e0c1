"""EKS's own part of the cluster: who runs it, who reaches it, what it writes down, what its secrets are sealed with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_aws.cloudwatch import LogGroup
from pulumi_aws.eks import AccessEntry, AccessPolicyAssociation, Cluster, ClusterVpcConfigArgsDict
from pulumi_aws.iam import OpenIdConnectProvider
from pulumi_aws.kms import Alias, Key

from infra.clusters.eks import policies
from infra.clusters.eks.roles import ClusterRole, ClusterRoleConfig
from infra.components.base import Component
from infra.settings.eks import EksSettings

#: All that EKS writes; who did what is in `audit` and `authenticator`.
LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
#: Days in which a deleted key can be called back; what it sealed is lost after that.
KEY_GRACE: Final = 30


@final
@dataclass(frozen=True)
class ControlPlaneConfig:
    """What a control plane is.

    Attributes:
        cluster: The cluster's name.
        settings: What the stack chose.
        subnets: Where it meets the nodes.
    """

    cluster: str
    settings: EksSettings
    subnets: Sequence[pulumi.Input[str]]


class ControlPlane(Component):
    """The control plane. Who depends on it waits until its administrators may do something.

    Attributes:
        name: The cluster's name, known when it is there.
        endpoint: Address of the API server.
        authority: Certificate of the API server's authority, in Base64.
    """

    def __init__(self, name: str, config: ControlPlaneConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("EksControlPlane", name, opts)
        made = self._cluster(config)
        # Pods of ours take roles by Pod Identity (ADR 74); charts of others may still ask for this.
        OpenIdConnectProvider(
            "issuer",
            url=made.identities[0].oidcs[0].issuer.apply(str),
            client_id_lists=["sts.amazonaws.com"],
            opts=self.child(),
        )
        for principal in config.settings.administrators:
            named = f"administrator-{principal.rpartition(':')[2].replace('/', '-')}"
            entry = AccessEntry(named, cluster_name=made.name, principal_arn=principal, opts=self.child())
            AccessPolicyAssociation(
                named,
                cluster_name=made.name,
                principal_arn=principal,
                policy_arn=policies.administrator(config.settings.region),
                access_scope={"type": "cluster"},
                opts=self.child(depends_on=[entry]),
            )
        self.name: pulumi.Output[str] = made.name
        self.endpoint: pulumi.Output[str] = made.endpoint
        self.authority: pulumi.Output[str] = made.certificate_authority.data.apply(str)
        self.register_outputs({"name": self.name, "endpoint": self.endpoint, "authority": self.authority})

    def _cluster(self, config: ControlPlaneConfig) -> Cluster:
        chosen = config.settings
        role = ClusterRole(
            "control-plane-role",
            ClusterRoleConfig(
                config.cluster,
                chosen.region,
                "control-plane",
                policies.trusted_by_service("eks.amazonaws.com"),
                policies.CLUSTER_POLICIES,
            ),
            self.child(),
        )
        key = sealed("secrets", config.cluster, policies.key_of_account(chosen.account, chosen.region), self.child())
        # EKS would make the group itself, and keep what is in it for ever.
        logs = LogGroup(
            "logs",
            name=f"/aws/eks/{config.cluster}/cluster",
            retention_in_days=chosen.log_days,
            opts=self.child(),
        )
        reached: ClusterVpcConfigArgsDict = {
            "subnet_ids": list(config.subnets),
            "endpoint_private_access": True,
            "endpoint_public_access": bool(chosen.public_access_from),
        }
        if chosen.public_access_from:
            reached["public_access_cidrs"] = list(chosen.public_access_from)
        return Cluster(
            "cluster",
            name=config.cluster,
            role_arn=role.arn,
            version=chosen.version,
            # Who made it has no rights by that: whoever has some is named in the settings.
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=list(LOGS),
            encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
            kubernetes_network_config={"ip_family": "ipv4", "service_ipv4_cidr": chosen.service_network},
            # After its standard support a version costs more; it is then raised by AWS instead.
            upgrade_policy={"support_type": "STANDARD"},
            vpc_config=reached,
            opts=self.child(depends_on=[role, logs]),
        )


def sealed(name: str, cluster: str, policy: str, opts: pulumi.ResourceOptions) -> Key:
    """A key of one cluster, renewed each year.

    Args:
        name: What it seals.
        cluster: The cluster's name.
        policy: Who may use it, as a document.
        opts: Options of the caller.
    """
    key = Key(
        name,
        description=f"{name} of the cluster {cluster}",
        policy=policy,
        enable_key_rotation=True,
        deletion_window_in_days=KEY_GRACE,
        opts=opts,
    )
    Alias(name, name=f"alias/slipway/{cluster}/{name}", target_key_id=key.key_id, opts=opts)
    return key
