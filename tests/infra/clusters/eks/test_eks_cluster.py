"""The target `eks` against mocks: what would be made, and every property that keeps it closed.

What makes it is imported above all tests: that takes seconds, on a busy machine many, and is no test's time.
"""

import json
import runpy
from pathlib import Path

import pulumi
import pytest
import yaml

import infra
from infra.clusters import targets
from infra.clusters.eks.cluster import STORAGE_CLASS
from infra.handover import Capabilities, Cluster
from infra.policy.rules import evaluate
from infra.settings import ClusterSettings, Target

ADMINISTRATOR = "arn:aws:iam::111122223333:role/team/deployers"
EKS = {"account": "111122223333", "region": "eu-central-1", "administrators": [ADMINISTRATOR]}


@pytest.fixture
def made(deploy):
    """Makes the cluster of some settings."""

    def make(*, preview=False, **chosen):
        settings = ClusterSettings.model_validate({"target": Target.EKS, "eks": {**EKS, **chosen}})

        def program():
            cluster = targets.make("it", settings)
            for name, value in cluster.to_outputs().items():
                pulumi.export(name, value)
            return cluster

        return deploy(program, preview=preview)

    return make


def addon(run, name):
    found = run.one("aws:eks/addon:Addon", name).inputs
    assert found["addonName"] == name
    return found


def test_all_that_is_made(made):
    assert made().counts() == {
        "aws:cloudwatch/logGroup:LogGroup": 1,
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": 1,
        "aws:ec2/eip:Eip": 3,
        "aws:ec2/internetGateway:InternetGateway": 1,
        "aws:ec2/launchTemplate:LaunchTemplate": 1,
        "aws:ec2/natGateway:NatGateway": 3,
        "aws:ec2/route:Route": 4,
        "aws:ec2/routeTable:RouteTable": 4,
        "aws:ec2/routeTableAssociation:RouteTableAssociation": 6,
        "aws:ec2/subnet:Subnet": 6,
        "aws:ec2/vpc:Vpc": 1,
        "aws:eks/accessEntry:AccessEntry": 1,
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": 1,
        "aws:eks/addon:Addon": 5,
        "aws:eks/cluster:Cluster": 1,
        "aws:eks/nodeGroup:NodeGroup": 1,
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider": 1,
        "aws:iam/role:Role": 4,
        "aws:iam/rolePolicy:RolePolicy": 1,
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment": 5,
        "aws:kms/alias:Alias": 2,
        "aws:kms/key:Key": 2,
        "kubernetes:storage.k8s.io/v1:StorageClass": 1,
        "pulumi:providers:aws": 1,
        "pulumi:providers:kubernetes": 1,
    }


def test_it_hands_over_a_cluster_as_every_target_does(made):
    run = made()
    assert set(run.exported) == {"kubeconfig", "context", "identifier", "capabilities"}
    assert run.exported["context"] == "it"
    assert run.exported["identifier"].startswith("eks/")
    assert run.exported["capabilities"] == {
        "load_balancer": True,
        "local_images": False,
        "storage_class": "gp3",
        "shared_machine": False,
        "load_balancer_annotations": {
            "service.beta.kubernetes.io/aws-load-balancer-type": "nlb",
            "service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled": "true",
        },
    }
    assert isinstance(run.result, Cluster)
    assert Capabilities(**run.exported["capabilities"]) == run.result.capabilities


def test_an_internal_load_balancer_says_so(made):
    told = made(internal_load_balancer=True).exported["capabilities"]["load_balancer_annotations"]
    assert told["service.beta.kubernetes.io/aws-load-balancer-internal"] == "true"


def test_the_kubeconfig_asks_for_a_token_at_each_use_and_holds_none(made, without_marks):
    run = made()
    config = yaml.safe_load(without_marks(run.exported["kubeconfig"]))
    assert config["current-context"] == "it"
    assert config["clusters"][0]["cluster"] == {
        "server": "https://it.eks.test",
        "certificate-authority-data": "Q2VydGlmaWNhdGU=",
    }
    (user,) = config["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["command"] == "aws"
    assert user["user"]["exec"]["args"][-5:] == ["get-token", "--cluster-name", "it", "--output", "json"]


def test_a_preview_needs_nothing_that_only_aws_could_tell(made):
    run = made(preview=True)
    assert len(run.of("aws:eks/cluster:Cluster")) == 1
    assert len(run.of("kubernetes:storage.k8s.io/v1:StorageClass")) == 1


def test_every_resource_has_an_explicit_provider_that_knows_its_account(made):
    run = made()
    provider = run.one("pulumi:providers:aws")
    assert json.loads(provider.inputs["allowedAccountIds"]) == ["111122223333"]
    assert provider.inputs["region"] == "eu-central-1"
    of_aws = [it for it in run.resources if it.type.startswith("aws:")]
    assert len(of_aws) > 40
    assert [it.name for it in of_aws if not it.provider.startswith(f"{provider.urn}::")] == []
    inside = run.one("pulumi:providers:kubernetes")
    assert run.one("kubernetes:storage.k8s.io/v1:StorageClass").provider.startswith(f"{inside.urn}::")


def test_the_api_server_is_reached_from_inside_only_unless_ranges_are_named(made):
    closed = made().one("aws:eks/cluster:Cluster").inputs["vpcConfig"]
    assert closed["endpointPrivateAccess"] is True
    assert closed["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in closed


def test_ranges_open_the_public_endpoint_to_themselves(made):
    opened = made(public_access_from=["198.51.100.7/32"]).one("aws:eks/cluster:Cluster").inputs["vpcConfig"]
    assert opened["endpointPrivateAccess"] is True
    assert opened["endpointPublicAccess"] is True
    assert opened["publicAccessCidrs"] == ["198.51.100.7/32"]


def test_the_control_plane_seals_secrets_writes_down_everything_and_knows_only_named_administrators(made):
    run = made(log_days=365)
    cluster = run.one("aws:eks/cluster:Cluster").inputs
    assert cluster["encryptionConfig"] == {"provider": {"keyArn": "arn-of-Key-secrets"}, "resources": ["secrets"]}
    assert set(cluster["enabledClusterLogTypes"]) == {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    assert cluster["accessConfig"] == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    assert cluster["bootstrapSelfManagedAddons"] is False
    assert cluster["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == "172.20.0.0/16"
    logs = run.one("aws:cloudwatch/logGroup:LogGroup")
    assert (logs.inputs["name"], logs.inputs["retentionInDays"]) == ("/aws/eks/it/cluster", 365)
    assert logs.urn in run.one("aws:eks/cluster:Cluster").depends_on
    entry = run.one("aws:eks/accessPolicyAssociation:AccessPolicyAssociation").inputs
    assert entry["principalArn"] == ADMINISTRATOR
    assert entry["policyArn"] == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    assert entry["accessScope"] == {"type": "cluster"}


def test_keys_are_renewed_and_can_be_called_back(made):
    keys = {it.name: it.inputs for it in made().of("aws:kms/key:Key")}
    assert set(keys) == {"secrets", "disks"}
    assert all(it["enableKeyRotation"] is True and it["deletionWindowInDays"] == 30 for it in keys.values())
    assert len(json.loads(keys["secrets"]["policy"])["Statement"]) == 1
    assert len(json.loads(keys["disks"]["policy"])["Statement"]) == 2


def test_nodes_have_encrypted_disks_and_tell_their_role_to_nobody(made):
    run = made(disk=50)
    template = run.one("aws:ec2/launchTemplate:LaunchTemplate").inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "disabled",
    }
    (disk,) = template["blockDeviceMappings"]
    assert disk["ebs"]["encrypted"] == "true"
    assert disk["ebs"]["kmsKeyId"] == "arn-of-Key-disks"
    assert (disk["ebs"]["volumeType"], disk["ebs"]["volumeSize"]) == ("gp3", 50)
    assert {"keyName", "vpcSecurityGroupIds", "networkInterfaces", "userData"} & set(template) == set()


def test_nodes_are_in_private_subnets_of_three_zones_and_go_one_after_the_other(made):
    run = made(nodes=6)
    group = run.one("aws:eks/nodeGroup:NodeGroup").inputs
    assert group["subnetIds"] == [f"private-eu-central-1{zone}-id" for zone in "abc"]
    assert group["scalingConfig"] == {"minSize": 6, "desiredSize": 6, "maxSize": 6}
    assert group["updateConfig"] == {"maxUnavailable": 1}
    assert group["launchTemplate"] == {"id": "nodes-id", "version": "1"}
    assert group["version"] == run.one("aws:eks/cluster:Cluster").inputs["version"]
    assert group["labels"] == {"app.kubernetes.io/part-of": "slipway"}
    assert "remoteAccess" not in group


def test_no_machine_has_an_address_on_the_internet(made):
    run = made()
    subnets = {it.name: it.inputs for it in run.of("aws:ec2/subnet:Subnet")}
    assert all(it["mapPublicIpOnLaunch"] is False for it in subnets.values())
    for name, subnet in subnets.items():
        assert ("kubernetes.io/role/elb" in subnet["tags"]) == name.startswith("public-")
        assert ("kubernetes.io/role/internal-elb" in subnet["tags"]) == name.startswith("private-")
        assert subnet["tags"]["kubernetes.io/cluster/it"] == "shared"
    control_plane = run.one("aws:eks/cluster:Cluster").inputs["vpcConfig"]
    assert control_plane["subnetIds"] == run.one("aws:eks/nodeGroup:NodeGroup").inputs["subnetIds"]


def test_the_group_that_every_vpc_has_lets_nobody_talk(made):
    group = made().one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert (group["ingress"], group["egress"]) == ([], [])


def test_each_zone_has_its_own_way_out(made):
    run = made()
    ways = {it.name: it.inputs for it in run.of("aws:ec2/route:Route") if it.name.startswith("private-")}
    assert {name: it["natGatewayId"] for name, it in ways.items()} == {
        f"private-eu-central-1{zone}": f"nat-eu-central-1{zone}-id" for zone in "abc"
    }
    gateways = {it.name: it.inputs["subnetId"] for it in run.of("aws:ec2/natGateway:NatGateway")}
    assert gateways == {f"nat-eu-central-1{zone}": f"public-eu-central-1{zone}-id" for zone in "abc"}


def test_one_way_out_may_serve_all_zones(made):
    run = made(nat_per_zone=False)
    assert len(run.of("aws:ec2/natGateway:NatGateway")) == len(run.of("aws:ec2/eip:Eip")) == 1
    ways = [it.inputs for it in run.of("aws:ec2/route:Route") if it.name.startswith("private-")]
    assert [it["natGatewayId"] for it in ways] == ["nat-eu-central-1a-id"] * 3


def test_nothing_but_the_public_subnets_leads_to_the_internet(made):
    ways = {it.name: it.inputs for it in made().of("aws:ec2/route:Route")}
    assert [name for name, it in ways.items() if "gatewayId" in it] == ["public"]


def test_no_role_is_taken_by_more_than_one_kind_of_thing(made):
    run = made()
    roles = {it.name: json.loads(it.inputs["assumeRolePolicy"])["Statement"] for it in run.of("aws:iam/role:Role")}
    assert {name: it[0]["Principal"]["Service"] for name, it in roles.items()} == {
        "control-plane-role": "eks.amazonaws.com",
        "node-role": "ec2.amazonaws.com",
        "network-role": "pods.eks.amazonaws.com",
        "volumes-role": "pods.eks.amazonaws.com",
    }
    here = "arn:aws:eks:eu-central-1:111122223333:cluster/it"
    for name, account in (("network-role", "aws-node"), ("volumes-role", "ebs-csi-controller-sa")):
        only = roles[name][0]["Condition"]["StringEquals"]
        assert only["aws:RequestTag/eks-cluster-arn"] == here
        assert only["aws:RequestTag/kubernetes-service-account"] == account


def test_nodes_may_read_images_and_no_more_than_they_must(made):
    attached = {}
    for it in made().of("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        attached.setdefault(it.inputs["role"], set()).add(it.inputs["policyArn"].rpartition("/")[2])
    assert attached == {
        "slipway-it-eu-central-1-control-plane": {"AmazonEKSClusterPolicy"},
        "slipway-it-eu-central-1-nodes": {"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"},
        "slipway-it-eu-central-1-network": {"AmazonEKS_CNI_Policy"},
        "slipway-it-eu-central-1-volumes": {"AmazonEBSCSIDriverPolicy"},
    }


def test_pods_take_their_roles_by_pod_identity(made):
    run = made()
    associations = {
        it.name: it.inputs["podIdentityAssociations"]
        for it in run.of("aws:eks/addon:Addon")
        if "podIdentityAssociations" in it.inputs
    }
    assert associations == {
        "vpc-cni": [{"serviceAccount": "aws-node", "roleArn": "arn-of-Role-network-role"}],
        "aws-ebs-csi-driver": [{"serviceAccount": "ebs-csi-controller-sa", "roleArn": "arn-of-Role-volumes-role"}],
    }
    agent = run.one("aws:eks/addon:Addon", "eks-pod-identity-agent")
    assert agent.urn in run.one("aws:eks/addon:Addon", "vpc-cni").depends_on
    issuer = run.one("aws:iam/openIdConnectProvider:OpenIdConnectProvider").inputs
    assert issuer == {"url": "https://issuer.test/it", "clientIdLists": ["sts.amazonaws.com"]}


def test_the_network_comes_before_nodes_and_names_and_volumes_after_them(made):
    run = made()
    nodes = run.one("aws:eks/nodeGroup:NodeGroup")
    before = {run.one("aws:eks/addon:Addon", it).urn for it in ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")}
    gateways = {it.urn for it in run.of("aws:ec2/natGateway:NatGateway")}
    assert before | gateways <= set(nodes.depends_on)
    for name in ("coredns", "aws-ebs-csi-driver"):
        assert nodes.urn in run.one("aws:eks/addon:Addon", name).depends_on


@pytest.mark.parametrize(("chosen", "told"), [(True, "true"), (False, "false")])
def test_network_policies_are_enforced_by_setting(made, chosen, told):
    values = json.loads(addon(made(network_policies=chosen), "vpc-cni")["configurationValues"])
    assert values == {"enableNetworkPolicy": told}


def test_the_default_storage_class_encrypts_and_grows(made):
    found = made().one("kubernetes:storage.k8s.io/v1:StorageClass").inputs
    assert found["metadata"]["name"] == STORAGE_CLASS
    assert found["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert found["provisioner"] == "ebs.csi.aws.com"
    assert found["parameters"] == {
        "type": "gp3",
        "encrypted": "true",
        "kmsKeyId": "arn-of-Key-disks",
        "csi.storage.k8s.io/fstype": "ext4",
    }
    assert found["volumeBindingMode"] == "WaitForFirstConsumer"
    assert found["allowVolumeExpansion"] is True


def test_the_storage_class_waits_until_its_maker_may_make_it(made):
    run = made()
    access = run.one("aws:eks/accessPolicyAssociation:AccessPolicyAssociation").urn
    assert access in run.one("pulumi:providers:kubernetes").depends_on


def test_the_driver_of_volumes_may_use_the_key_that_the_class_names(made):
    own = made().one("aws:iam/rolePolicy:RolePolicy").inputs
    assert own["role"] == "slipway-it-eu-central-1-volumes"
    assert {it["Resource"] for it in json.loads(own["policy"])["Statement"]} == {"arn-of-Key-disks"}


def test_the_policies_hold_for_what_is_put_into_it(made):
    assert evaluate(made().objects(), exemptions=()) == []


def test_the_program_makes_it_from_configuration(deploy):
    program = Path(infra.__file__).parent / "projects" / "cluster" / "__main__.py"
    config = {"slipway-cluster:target": "eks", "slipway-cluster:eks": json.dumps(EKS)}
    run = deploy(lambda: runpy.run_path(str(program), run_name="__main__"), stack="it", config=config)
    assert run.exported["context"] == "it"
    assert run.one("aws:eks/cluster:Cluster").inputs["name"] == "it"
