"""Who may do what: documents of IAM and KMS, as plain data. Pure.

Sources: the EKS user guide (roles of cluster, nodes and Pod Identity), the guide of the EBS driver (its key), and the
policy that AWS itself gives to the key `aws/ebs`, which lets whoever may use EBS in an account use the key through EBS.
"""

import json
from typing import Any, Final

from infra.settings.eks import partition

Statement = dict[str, Any]

#: Policies of AWS by role: nothing that a node has is given to the pods on it.
CLUSTER_POLICIES: Final = ("AmazonEKSClusterPolicy",)
NODE_POLICIES: Final = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
VOLUME_POLICIES: Final = ("service-role/AmazonEBSCSIDriverPolicy",)
NETWORK_POLICIES: Final = ("AmazonEKS_CNI_Policy",)

_USE_OF_A_KEY: Final = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")


def aws_policy(region: str, name: str) -> str:
    """The ARN of one of AWS's own policies."""
    return f"arn:{partition(region)}:iam::aws:policy/{name}"


def cluster_arn(account: str, region: str, cluster: str) -> str:
    """The ARN of a cluster, which is known before it is made."""
    return f"arn:{partition(region)}:eks:{region}:{account}:cluster/{cluster}"


def administrator(region: str) -> str:
    """The ARN of EKS's own policy for administrators of a cluster."""
    return f"arn:{partition(region)}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def document(*statements: Statement) -> str:
    """A policy as AWS takes it."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trusted_by_service(service: str) -> str:
    """A role that a service of AWS takes.

    Args:
        service: The service's host, such as `eks.amazonaws.com`.
    """
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def trusted_by_pods(cluster: str, namespace: str, service_account: str) -> str:
    """A role that pods of one service account of one cluster take, through EKS Pod Identity.

    The conditions name all three: without them every association that anybody makes in the account could take it.

    Args:
        cluster: The cluster's ARN.
        namespace: The pods' namespace.
        service_account: Their service account.
    """
    tags = {
        "eks-cluster-arn": cluster,
        "kubernetes-namespace": namespace,
        "kubernetes-service-account": service_account,
    }
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in tags.items()}},
        }
    )


def key_of_account(account: str, region: str) -> str:
    """A key whose use policies of the account's roles decide."""
    return document(_account_decides(account, region))


def key_of_disks(account: str, region: str) -> str:
    """A key that disks are encrypted with, those of nodes too.

    Nodes are started by the service role of Auto Scaling, which may not be there yet in a new account, so a policy that
    names it could be refused. As with `aws/ebs`, whoever may use EBS in this account may use the key through it.
    """
    return document(
        _account_decides(account, region),
        {
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [*_USE_OF_A_KEY, "kms:CreateGrant"],
            "Resource": "*",
            "Condition": {
                "StringEquals": {"kms:CallerAccount": account, "kms:ViaService": f"ec2.{region}.amazonaws.com"}
            },
        },
    )


def use_of_key(key: str) -> str:
    """What the driver of volumes does with the key of disks: it lets EBS use it, and no one else.

    Args:
        key: The key's ARN.
    """
    grants = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"]
    return document(
        {
            "Effect": "Allow",
            "Action": grants,
            "Resource": key,
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
        {"Effect": "Allow", "Action": list(_USE_OF_A_KEY), "Resource": key},
    )


def _account_decides(account: str, region: str) -> Statement:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{partition(region)}:iam::{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
