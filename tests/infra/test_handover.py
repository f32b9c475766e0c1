"""The hand-overs: what one project exports is what the next one reads, and secrets stay secret."""

from dataclasses import replace

import pulumi
import pytest
from infra_stand_ins import CLOUD, OWN_REGISTRY, PLATFORM

from infra import handover
from infra.handover import Capabilities, Cluster, HandoverError, Outputs, Platform
from infra.naming import Project
from infra.profiles import ProfileName

CLUSTER = Cluster("plain-kubeconfig", "context", "embedded/test", OWN_REGISTRY)
STANDARD = replace(PLATFORM, profile=ProfileName.STANDARD, redis_password="plain-password")


def export(value):
    for name, output in value.to_outputs().items():
        pulumi.export(name, output)


def read_back(deploy, kind, exported, project):
    """Read what was exported in a second program."""
    stacks = {f"organization/{project.value}/one": exported}
    return deploy(lambda: kind.from_outputs(handover.read(project, "one")), stacks=stacks).result


def resolved(deploy, output):
    seen = []
    deploy(lambda: pulumi.Output.all(output, pulumi.Output.from_input(output).is_secret()).apply(seen.append))
    return seen[0]


def test_a_cluster_survives_the_way_through_the_state(deploy, without_marks):
    exported = without_marks(deploy(lambda: export(CLUSTER)).exported)
    read = read_back(deploy, Cluster, exported, Project.CLUSTER)
    assert (read.context, read.identifier) == ("context", "embedded/test")
    assert read.capabilities == OWN_REGISTRY
    assert resolved(deploy, read.kubeconfig) == ["plain-kubeconfig", True]


def test_a_platform_survives_the_way_through_the_state(deploy, without_marks):
    exported = without_marks(deploy(lambda: export(STANDARD)).exported)
    # The engine hands every number over as a float.
    exported["timeouts"] = {name: float(value) for name, value in exported["timeouts"].items()}
    read = read_back(deploy, Platform, exported, Project.PLATFORM)
    assert resolved(deploy, read.redis_password) == ["plain-password", True]
    assert (read.profile, read.domain) == (STANDARD.profile, STANDARD.domain)
    assert (read.ingress_address, read.ca_certificate) == (STANDARD.ingress_address, STANDARD.ca_certificate)
    assert (read.dns_timeout, read.node_loss_timeout) == (1, 10)
    assert isinstance(read.server_timeout, int)


def test_nothing_secret_is_exported_in_plain_text(deploy):
    run = deploy(lambda: (export(CLUSTER), export(STANDARD)))
    assert not [text for text in run.plain_texts() if "plain-" in text]
    assert "certificate" in run.plain_texts()


def test_a_stack_that_is_not_there_names_what_to_run_first(deploy):
    with pytest.raises(
        HandoverError,
        match=r"cannot read the stack organization/slipway-cluster/one: .*"
        r"Run `pulumi up --stack one` in infra/projects/cluster first",
    ):
        deploy(lambda: handover.read(Project.CLUSTER, "one"))


def test_a_missing_output_names_the_project_to_bring_up():
    outputs = Outputs("organization/slipway-platform/one", Project.PLATFORM, {}, frozenset())
    with pytest.raises(
        HandoverError, match=r"has no output 'timeouts': run `pulumi up` in infra/projects/platform first"
    ):
        Platform.from_outputs(outputs)


def test_capabilities_must_name_what_they_promise():
    with pytest.raises(HandoverError, match="lacks registry, registry_push or registry_certificates"):
        Capabilities(load_balancer=True, local_images=True, storage_class="standard")
    with pytest.raises(HandoverError, match="no load balancer and names no address_range"):
        Capabilities(load_balancer=False, local_images=False, storage_class="standard")


def test_what_is_not_there_is_not_exported():
    assert CLOUD.to_outputs() == {
        "load_balancer": True,
        "local_images": False,
        "shared_machine": False,
        "storage_class": "gp3",
    }
