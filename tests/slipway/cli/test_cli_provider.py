"""What `up` does to objects that others have a hand in: by the real Pulumi and its provider, on a real API server."""

import json

import pulumi
import pytest
from pulumi import automation
from pulumi_kubernetes.core.v1 import ConfigMap
from rollout_control_plane import control_plane

from infra.components.namespace import Namespace, NamespaceConfig
from infra.engine import Place
from infra.handover import Capabilities, Cluster
from infra.labels import PART_OF
from infra.provider import kubernetes
from slipway.cli import first_objects
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl
from slipway.toolchain import Toolchain

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "backup-store", "namespace": "data"}}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control-plane")) as made:
        yield made


@pytest.fixture(scope="module")
def kubectl(running):
    return Kubectl(Toolchain().ensure(["kubectl"])["kubectl"], running.kubeconfig())


@pytest.fixture
def stack(running, tmp_path, monkeypatch):
    """Make a stack of what a function makes with the provider of our programs."""
    found = Toolchain().ensure(["pulumi-home", "pulumi-resource-kubernetes"])
    place = Place(found["pulumi-home"], tmp_path / "state")
    place.prepare(found["pulumi-resource-kubernetes"])
    monkeypatch.setenv("PATH", place.environment()["PATH"])  # where the library looks for the CLI

    def made(make):
        def program():
            able = Capabilities(load_balancer=True, local_images=False, storage_class="local")
            make(kubernetes(Cluster(running.kubeconfig().read_text(), "it", "it", able)))

        return automation.create_or_select_stack(
            "it",
            project_name="provider",
            program=program,
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(tmp_path), env_vars=place.environment(), pulumi_home=place.environment()["PULUMI_HOME"]
            ),
        )

    return made


def test_the_platform_takes_over_a_namespace_that_objects_came_with(running, kubectl, stack):
    """What was put there first stays, and nothing is left to change."""
    it = stack(
        lambda provider: Namespace(
            "data", NamespaceConfig("data"), pulumi.ResourceOptions(providers={"kubernetes": provider})
        )
    )
    first_objects.put(kubectl, [{**SECRET, "stringData": {"access-key": "a"}}])
    it.up(color="never")
    first_objects.put(kubectl, [{**SECRET, "stringData": {"access-key": "b"}}])
    assert it.preview(color="never").change_summary.keys() == {"same"}
    namespace = running.request("GET", "/api/v1/namespaces/data").json()
    assert namespace["metadata"]["labels"]["app.kubernetes.io/part-of"] == PART_OF
    secret = running.request("GET", "/api/v1/namespaces/data/secrets/backup-store").json()
    assert secret["data"] == {"access-key": "Yg=="}


def test_what_somebody_changes_by_hand_is_found_and_taken_back_and_what_is_added_stays(running, kubectl, stack):
    it = stack(
        lambda provider: ConfigMap(
            "it",
            metadata={"name": "it", "namespace": "default"},
            data={"ours": "1"},
            opts=pulumi.ResourceOptions(provider=provider),
        )
    )
    path = "/api/v1/namespaces/default/configmaps/it"
    it.up(color="never")
    patch = json.dumps({"data": {"ours": "2", "theirs": "3"}})
    kubectl("patch", "configmap", "it", "--type=merge", "--field-manager=somebody", f"--patch={patch}")
    # The control: who does not insist is refused.
    ours = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}, "data": {"ours": "1"}}
    with pytest.raises(NodeError, match='conflict with "somebody"'):
        kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(ours))
    assert it.preview(color="never", refresh=True).change_summary["update"] == 1
    it.up(color="never", refresh=True)
    assert running.request("GET", path).json()["data"] == {"ours": "1", "theirs": "3"}
