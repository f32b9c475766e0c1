"""The list of what a deployer may: it covers all that is made, and is bound to one cluster where AWS can bind it."""

import json
import subprocess
import sys

import pytest

from infra.clusters.eks import deployer
from infra.clusters.eks.cluster import EksConfig, eks  # above all tests: it takes seconds, which are no test's time
from infra.settings.eks import EksSettings

ACCOUNT, REGION = "111122223333", "eu-central-1"
SETTINGS = EksSettings(account=ACCOUNT, region=REGION, administrators=(f"arn:aws:iam::{ACCOUNT}:role/deployers",))
#: How each type is made and unmade: the names of AWS's actions.
ACTIONS = {
    "aws:cloudwatch/logGroup:LogGroup": ("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
    ),
    "aws:ec2/eip:Eip": ("ec2:AllocateAddress", "ec2:ReleaseAddress"),
    "aws:ec2/internetGateway:InternetGateway": (
        "ec2:CreateInternetGateway",
        "ec2:AttachInternetGateway",
        "ec2:DetachInternetGateway",
        "ec2:DeleteInternetGateway",
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": (
        "ec2:CreateLaunchTemplate",
        "ec2:CreateLaunchTemplateVersion",
        "ec2:ModifyLaunchTemplate",
        "ec2:DeleteLaunchTemplate",
    ),
    "aws:ec2/natGateway:NatGateway": ("ec2:CreateNatGateway", "ec2:DeleteNatGateway"),
    "aws:ec2/route:Route": ("ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute"),
    "aws:ec2/routeTable:RouteTable": ("ec2:CreateRouteTable", "ec2:DeleteRouteTable"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": ("ec2:AssociateRouteTable", "ec2:DisassociateRouteTable"),
    "aws:ec2/subnet:Subnet": ("ec2:CreateSubnet", "ec2:ModifySubnetAttribute", "ec2:DeleteSubnet"),
    "aws:ec2/vpc:Vpc": ("ec2:CreateVpc", "ec2:ModifyVpcAttribute", "ec2:DeleteVpc"),
    "aws:eks/accessEntry:AccessEntry": ("eks:CreateAccessEntry", "eks:DeleteAccessEntry"),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": (
        "eks:AssociateAccessPolicy",
        "eks:ListAssociatedAccessPolicies",
        "eks:DisassociateAccessPolicy",
    ),
    "aws:eks/addon:Addon": ("eks:CreateAddon", "eks:UpdateAddon", "eks:DeleteAddon"),
    "aws:eks/cluster:Cluster": (
        "eks:CreateCluster",
        "eks:UpdateClusterConfig",
        "eks:UpdateClusterVersion",
        "eks:DeleteCluster",
    ),
    "aws:eks/nodeGroup:NodeGroup": ("eks:CreateNodegroup", "eks:UpdateNodegroupVersion", "eks:DeleteNodegroup"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": (
        "iam:CreateOpenIDConnectProvider",
        "iam:DeleteOpenIDConnectProvider",
    ),
    "aws:iam/role:Role": ("iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:PassRole", "iam:DeleteRole"),
    "aws:iam/rolePolicy:RolePolicy": ("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("iam:AttachRolePolicy", "iam:DetachRolePolicy"),
    "aws:kms/alias:Alias": ("kms:CreateAlias", "kms:DeleteAlias"),
    "aws:kms/key:Key": ("kms:CreateKey", "kms:EnableKeyRotation", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"),
}


def statements(cluster="it", region=REGION):
    return json.loads(deployer.permissions(ACCOUNT, region, cluster))["Statement"]


def allowing(action):
    return [it for it in statements() if action in it["Action"]]


@pytest.fixture
def run(deploy):
    return deploy(lambda: eks(EksConfig("it", SETTINGS)))


def test_all_that_is_made_may_be_made_changed_and_removed(run):
    types = {it.type for it in run.resources if it.type.startswith("aws:")}
    assert types == set(ACTIONS)
    assert [action for type_ in types for action in ACTIONS[type_] if not allowing(action)] == []


def test_only_reading_is_allowed_by_a_pattern():
    actions = [action for it in statements() for action in it["Action"]]
    assert [it for it in actions if "*" in it] == ["ec2:Describe*"]
    assert len(actions) == len(set(actions)) + 1, "only iam:GetRole stands twice"


def test_the_roles_that_are_made_are_the_ones_that_may_be(run):
    (pattern,) = {it["Resource"] for it in allowing("iam:CreateRole")}
    begin = pattern.rpartition("/")[2].removesuffix("*")
    names = [it.inputs["name"] for it in run.of("aws:iam/role:Role")]
    assert len(names) == 4
    assert all(it.startswith(begin) for it in names)
    assert begin == "slipway-it-eu-central-1-"


def test_only_the_policies_that_are_attached_may_be(run):
    (found,) = allowing("iam:AttachRolePolicy")
    attached = {it.inputs["policyArn"] for it in run.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert set(found["Condition"]["ArnEquals"]["iam:PolicyARN"]) == attached


def test_roles_are_passed_to_who_takes_them(run):
    (found,) = allowing("iam:PassRole")
    takers = {
        json.loads(it.inputs["assumeRolePolicy"])["Statement"][0]["Principal"]["Service"]
        for it in run.of("aws:iam/role:Role")
    }
    assert set(found["Condition"]["StringEquals"]["iam:PassedToService"]) == takers


def test_what_names_no_cluster_is_bound_to_the_region():
    for it in statements():
        if it["Resource"] == "*" and it["Action"] != ["sts:GetCallerIdentity"]:
            assert it["Condition"] == {"StringEquals": {"aws:RequestedRegion": REGION}}


def test_another_cluster_is_another_list():
    (mine,) = [it for it in statements("it") if "eks:DeleteCluster" in it["Action"]]
    assert mine["Resource"][0] == "arn:aws:eks:eu-central-1:111122223333:cluster/it"
    assert all("/it" in it for it in mine["Resource"])


def test_it_can_be_printed():
    command = [sys.executable, "-m", "infra.clusters.eks.deployer"]
    done = subprocess.run([*command, ACCOUNT, REGION, "it"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["Statement"] == statements()
    wrong = subprocess.run([*command, ACCOUNT], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "usage: python -m infra.clusters.eks.deployer ACCOUNT REGION CLUSTER\n",
    )
