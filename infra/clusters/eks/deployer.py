"""What whoever runs `up` and `down` for the target `eks` must be allowed: `python -m infra.clusters.eks.deployer`.

The list is put together from what the program makes and from AWS's reference of actions; it has not been tried against
AWS. It is no wall against a deployer who means harm: whoever may write a role's policy can give that role anything.
docs/how-to/eks.md says what closes that.
"""

import json
import sys
from collections.abc import Mapping
from typing import Final

from infra.clusters.eks import policies
from infra.clusters.eks.policies import Statement
from infra.settings.eks import partition

_EC2: Final = (
    "AllocateAddress",
    "AssociateRouteTable",
    "AttachInternetGateway",
    "CreateInternetGateway",
    "CreateLaunchTemplate",
    "CreateLaunchTemplateVersion",
    "CreateNatGateway",
    "CreateRoute",
    "CreateRouteTable",
    "CreateSubnet",
    "CreateTags",
    "CreateVpc",
    "DeleteInternetGateway",
    "DeleteLaunchTemplate",
    "DeleteNatGateway",
    "DeleteRoute",
    "DeleteRouteTable",
    "DeleteSubnet",
    "DeleteTags",
    "DeleteVpc",
    "Describe*",
    "DetachInternetGateway",
    "DisassociateAddress",
    "DisassociateRouteTable",
    "ModifyLaunchTemplate",
    "ModifySubnetAttribute",
    "ModifyVpcAttribute",
    "ReleaseAddress",
    "ReplaceRoute",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "RunInstances",  # EKS tries with the caller's rights whether the launch template could start a node
)
_EKS: Final = (
    "AssociateAccessPolicy",
    "CreateAccessEntry",
    "CreateAddon",
    "CreateCluster",
    "CreateNodegroup",
    "CreatePodIdentityAssociation",
    "DeleteAccessEntry",
    "DeleteAddon",
    "DeleteCluster",
    "DeleteNodegroup",
    "DeletePodIdentityAssociation",
    "DescribeAccessEntry",
    "DescribeAddon",
    "DescribeCluster",
    "DescribeNodegroup",
    "DescribePodIdentityAssociation",
    "DescribeUpdate",
    "DisassociateAccessPolicy",
    "ListAssociatedAccessPolicies",
    "ListPodIdentityAssociations",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
    "UpdateAccessEntry",
    "UpdateAddon",
    "UpdateClusterConfig",
    "UpdateClusterVersion",
    "UpdateNodegroupConfig",
    "UpdateNodegroupVersion",
    "UpdatePodIdentityAssociation",
)
_ROLES: Final = (
    "CreateRole",
    "DeleteRole",
    "DeleteRolePolicy",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListInstanceProfilesForRole",
    "ListRolePolicies",
    "PutRolePolicy",
    "TagRole",
    "UntagRole",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
)
_ISSUERS: Final = (
    "AddClientIDToOpenIDConnectProvider",
    "CreateOpenIDConnectProvider",
    "DeleteOpenIDConnectProvider",
    "GetOpenIDConnectProvider",
    "RemoveClientIDFromOpenIDConnectProvider",
    "TagOpenIDConnectProvider",
    "UntagOpenIDConnectProvider",
    "UpdateOpenIDConnectProviderThumbprint",
)
_KEYS: Final = (
    "CreateAlias",
    "CreateGrant",
    "CreateKey",
    "DeleteAlias",
    "DescribeKey",
    "EnableKeyRotation",
    "GetKeyPolicy",
    "GetKeyRotationStatus",
    "ListAliases",
    "ListResourceTags",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
)
_LOGS: Final = (
    "CreateLogGroup",
    "DeleteLogGroup",
    "DescribeLogGroups",
    "ListTagsForResource",
    "PutRetentionPolicy",
    "TagResource",
    "UntagResource",
)
_PASSED_TO: Final = ("eks.amazonaws.com", "ec2.amazonaws.com", "pods.eks.amazonaws.com")
#: Services whose own roles AWS makes when they are first used in an account.
_SERVICES: Final = ("eks", "eks-nodegroup", "autoscaling", "elasticloadbalancing")
_POLICIES: Final = (
    *policies.CLUSTER_POLICIES,
    *policies.NODE_POLICIES,
    *policies.NETWORK_POLICIES,
    *policies.VOLUME_POLICIES,
)


def permissions(account: str, region: str, cluster: str) -> str:
    """The policy, as AWS takes it.

    Args:
        account: The account's twelve digits.
        region: The region.
        cluster: The cluster's name.
    """
    iam = f"arn:{partition(region)}:iam::{account}:"
    roles = f"{iam}role/slipway-{cluster}-{region}-*"
    service_roles = f"{iam}role/aws-service-role/*"
    eks = f"arn:{partition(region)}:eks:{region}:{account}:"
    parts = ("nodegroup", "addon", "access-entry", "podidentityassociation")
    here = {"StringEquals": {"aws:RequestedRegion": region}}
    return policies.document(
        _allow("ec2", _EC2, "*", here),
        _allow("eks", _EKS, [f"{eks}cluster/{cluster}", *(f"{eks}{part}/{cluster}/*" for part in parts)]),
        _allow("eks", ("DescribeAddonVersions",), "*", here),
        _allow("kms", _KEYS, "*", here),
        _allow("logs", _LOGS, "*", here),
        _allow("iam", _ROLES, roles),
        _allow(
            "iam",
            ("AttachRolePolicy", "DetachRolePolicy"),
            roles,
            {"ArnEquals": {"iam:PolicyARN": [policies.aws_policy(region, it) for it in _POLICIES]}},
        ),
        _allow("iam", ("PassRole",), roles, {"StringEquals": {"iam:PassedToService": list(_PASSED_TO)}}),
        _allow("iam", _ISSUERS, f"{iam}oidc-provider/oidc.eks.{region}.amazonaws.com/*"),
        _allow("iam", ("GetRole",), service_roles),
        _allow(
            "iam",
            ("CreateServiceLinkedRole",),
            service_roles,
            {"StringEquals": {"iam:AWSServiceName": [f"{it}.amazonaws.com" for it in _SERVICES]}},
        ),
        _allow("sts", ("GetCallerIdentity",), "*"),
    )


def _allow(
    service: str,
    actions: tuple[str, ...],
    resources: str | list[str],
    condition: Mapping[str, Mapping[str, object]] | None = None,
) -> Statement:
    statement: Statement = {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": resources,
    }
    return {**statement, "Condition": condition} if condition else statement


if __name__ == "__main__":
    _, *given = sys.argv
    if len(given) != 3:  # noqa: PLR2004  # account, region, cluster
        sys.exit("usage: python -m infra.clusters.eks.deployer ACCOUNT REGION CLUSTER")
    sys.stdout.write(json.dumps(json.loads(permissions(*given)), indent=2) + "\n")
