"""Documents of IAM and KMS: nobody gets more than a sentence would say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clusters.eks import access, policies
from infra.clusters.eks.roles import role_name

ACCOUNT, REGION = "111122223333", "eu-central-1"


def statements(document):
    parsed = json.loads(document)
    assert parsed["Version"] == "2012-10-17"
    return parsed["Statement"]


def test_pods_take_a_role_only_as_their_service_account_in_their_cluster():
    (found,) = statements(policies.trusted_by_pods("arn-of-it", "kube-system", "aws-node"))
    assert found["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert found["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert found["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-arn": "arn-of-it",
        "aws:RequestTag/kubernetes-namespace": "kube-system",
        "aws:RequestTag/kubernetes-service-account": "aws-node",
    }


def test_who_may_use_ebs_in_the_account_may_use_the_key_of_disks_through_it_and_nobody_else():
    own, through_ebs = statements(policies.key_of_disks(ACCOUNT, REGION))
    assert own["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert through_ebs["Principal"] == {"AWS": "*"}
    assert through_ebs["Condition"]["StringEquals"] == {
        "kms:CallerAccount": ACCOUNT,
        "kms:ViaService": "ec2.eu-central-1.amazonaws.com",
    }
    assert "kms:*" not in through_ebs["Action"]
    assert not [it for it in through_ebs["Action"] if it.startswith(("kms:Put", "kms:Schedule", "kms:Disable"))]


def test_the_key_of_secrets_is_the_accounts_alone():
    (found,) = statements(policies.key_of_account(ACCOUNT, REGION))
    assert found["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}


def test_the_driver_of_volumes_uses_one_key_and_grants_it_to_aws_only():
    grants, use = statements(policies.use_of_key("arn-of-key"))
    assert grants["Resource"] == use["Resource"] == "arn-of-key"
    assert grants["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    assert "kms:CreateGrant" not in use["Action"]


@pytest.mark.parametrize(("region", "begin"), [(REGION, "arn:aws:"), ("us-gov-west-1", "arn:aws-us-gov:")])
def test_names_begin_as_the_part_of_aws_wants(region, begin):
    for name in (
        policies.aws_policy(region, "It"),
        policies.cluster_arn(ACCOUNT, region, "it"),
        policies.administrator(region),
        json.loads(policies.key_of_account(ACCOUNT, region))["Statement"][0]["Principal"]["AWS"],
    ):
        assert name.startswith(begin)


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,18}[a-z0-9]", fullmatch=True)


@given(NAMES, st.sampled_from(["eu-central-1", "ap-southeast-2", "us-gov-west-1"]))
def test_every_role_can_be_told_by_its_name_and_is_short_enough(cluster, region):
    names = [role_name(cluster, region, it) for it in ("control-plane", "nodes", "network", "volumes")]
    assert len(set(names)) == 4
    assert all(it.startswith("slipway-") and len(it) <= 64 for it in names)


@given(st.text(min_size=1), st.text(), st.text(min_size=1))
def test_a_cluster_made_anew_is_another_one(endpoint, authority, more):
    here = access.identifier(endpoint, authority)
    assert here.startswith("eks/")
    assert here == access.identifier(endpoint, authority)
    assert here != access.identifier(f"{endpoint}{more}", authority)
