"""From Pulumi's resources to manifests, and the pack itself."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import grpc
import pulumi_policy
import pytest
import yaml
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2_grpc
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

import infra.policy
from infra.policy.resources import manifest_of
from infra.policy.rules import RULES

PACK = Path(infra.policy.__file__).parent / "pack"


def test_object_of_a_named_group():
    manifest = manifest_of("kubernetes:apps/v1:Deployment", {"metadata": {"name": "a"}, "spec": {"replicas": 2}})
    assert manifest == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"replicas": 2},
    }


def test_core_group_loses_its_made_up_name():
    manifest = manifest_of("kubernetes:core/v1:Service", {"metadata": {"name": "a"}})
    assert manifest is not None
    assert manifest["apiVersion"] == "v1"


@pytest.mark.parametrize(
    "resource_type",
    [
        "pulumi:pulumi:Stack",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:core/v1:ServicePatch",
        "pulumi:providers:kubernetes",
    ],
)
def test_what_is_no_object_of_the_cluster_is_left_alone(resource_type):
    properties = {"metadata": {}} if resource_type.endswith("Patch") else {}
    assert manifest_of(resource_type, properties) is None


def test_values_not_known_yet_are_not_guessed():
    properties = unknown_checking_proxy({"metadata": {"name": UNKNOWN_STRING_VALUE}})
    with pytest.raises(UnknownValueError):
        manifest_of("kubernetes:core/v1:Service", properties)


@pytest.fixture
def policies(monkeypatch):
    """Returns the policies that the pack hands to Pulumi, by name."""
    given = {}

    def record(name, policies, **_):
        given["name"] = name
        given.update({policy.name: policy for policy in policies})

    monkeypatch.setattr(pulumi_policy, "PolicyPack", record)
    runpy.run_path(str(PACK / "__main__.py"))
    assert given.pop("name") == "slipway"
    return given


def test_pack_holds_every_rule(policies):
    assert set(policies) == {rule.id for rule in RULES}


def resource(urn, resource_type, **properties):
    return SimpleNamespace(urn=urn, resource_type=resource_type, props=unknown_checking_proxy(properties))


def test_pack_reports_an_object_at_its_resource(policies):
    reported = []
    bad = resource("urn:long", "kubernetes:core/v1:Service", metadata={"name": "a" * 64, "namespace": "dev"})
    policies["name-length"].validate(bad, lambda text, urn: reported.append((text, urn)))
    [(text, urn)] = reported
    assert urn == "urn:long"
    assert text.startswith("Service dev/aaa")
    assert "64 characters" in text


def test_pack_reports_a_missing_partner_at_the_one_that_lacks_it(policies):
    reported = []
    stack = SimpleNamespace(
        resources=[
            resource("urn:stack", "pulumi:pulumi:Stack"),
            resource(
                "urn:pods",
                "kubernetes:apps/v1:Deployment",
                metadata={"name": "a", "namespace": "dev"},
                spec={"replicas": 2},
            ),
        ],
    )
    policies["disruption-budget"].validate(stack, lambda text, urn: reported.append((text, urn)))
    [(text, urn)] = reported
    assert urn == "urn:pods"
    assert "no PodDisruptionBudget" in text


def test_pack_serves_its_rules_to_the_cli():
    # As the CLI starts it: by the program named after the pack's runtime, with the engine's address and the folder.
    description = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert description["runtime"] == "slipway"
    command = [sys.executable, "-m", "infra.policy.analyzer", "127.0.0.1:1", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
                info = analyzer_pb2_grpc.AnalyzerStub(channel).GetAnalyzerInfo(empty_pb2.Empty(), timeout=20)
        finally:
            process.kill()
    assert info.name == "slipway"
    assert {policy.name for policy in info.policies} == {rule.id for rule in RULES}
    assert {policy.enforcementLevel for policy in info.policies} == {1}, "mandatory"


def test_rules_need_no_pulumi():
    program = "import sys, infra.policy.rules, infra.policy.resources; print([m for m in sys.modules if 'pulumi' in m])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"
