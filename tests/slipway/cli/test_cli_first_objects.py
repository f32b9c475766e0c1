"""Objects that are put on a cluster before the platform: which files are taken, and what kubectl is told."""

import json

import click
import pulumi
import pytest
from pulumi import automation
from rollout_control_plane import control_plane

from infra.components.namespace import Namespace, NamespaceConfig
from infra.engine import Place
from infra.handover import Capabilities, Cluster
from infra.labels import PART_OF
from infra.provider import kubernetes
from slipway.cli import first_objects
from slipway.node.kube import Kubectl
from slipway.toolchain import Toolchain

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "backup-store", "namespace": "data"}}


def test_a_file_may_hold_several_documents_and_lists(tmp_path):
    path = tmp_path / "objects.yaml"
    other = {**SECRET, "metadata": {"name": "alerts", "namespace": "monitoring"}}
    both = {"apiVersion": "v1", "kind": "List", "items": [other, SECRET]}
    path.write_text(f"---\n{json.dumps(SECRET)}\n---\n{json.dumps(both)}\n---\n")
    assert first_objects.read(path) == [SECRET, other, SECRET]
    assert first_objects.named([other, SECRET], "Secret", "data", "backup-store") == SECRET
    assert first_objects.named([other, SECRET], "Secret", "monitoring", "backup-store") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "is no YAML: ParserError"),
        ("just words", "object 1 of .* is none"),
        (json.dumps({"kind": "Secret", "metadata": {}}), "it lacks apiVersion, kind or metadata"),
        (json.dumps({**SECRET, "metadata": {"name": "x"}}), "must name itself and its namespace"),
    ],
)
def test_what_is_no_object_is_refused_without_its_text(tmp_path, text, why):
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    with pytest.raises(click.ClickException, match=why):
        first_objects.read(path)


def test_namespaces_come_first_and_nothing_stands_on_the_command_line():
    asked = []
    first_objects.put(lambda *words, stdin: asked.append((words, json.loads(stdin))), [SECRET, SECRET])
    ((words, document),) = asked
    assert words[:2] == ("apply", "--server-side")
    assert [(it["kind"], it["metadata"]["name"]) for it in document["items"]] == [
        ("Namespace", "data"), ("Secret", "backup-store"), ("Secret", "backup-store"),
    ]  # fmt: skip
    assert not any("backup-store" in word for word in words)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control-plane")) as made:
        yield made


def test_the_platform_takes_over_a_namespace_that_objects_came_with(running, tmp_path, monkeypatch):
    """By the real provider on a real API server: what was put there first stays, and nothing is left to change."""
    found = Toolchain().ensure(["pulumi-home", "pulumi-resource-kubernetes", "kubectl"])
    place = Place(found["pulumi-home"], tmp_path / "state")
    place.prepare(found["pulumi-resource-kubernetes"])
    monkeypatch.setenv("PATH", place.environment()["PATH"])  # where the library looks for the CLI
    kubeconfig = running.kubeconfig()

    def program():
        able = Capabilities(load_balancer=True, local_images=False, storage_class="local")
        provider = kubernetes(Cluster(kubeconfig.read_text(), "it", "it", able))
        Namespace("data", NamespaceConfig("data"), pulumi.ResourceOptions(providers={"kubernetes": provider}))

    stack = automation.create_or_select_stack(
        "it",
        project_name="first-objects",
        program=program,
        opts=automation.LocalWorkspaceOptions(
            work_dir=str(tmp_path), env_vars=place.environment(), pulumi_home=place.environment()["PULUMI_HOME"]
        ),
    )
    kubectl = Kubectl(found["kubectl"], kubeconfig)
    first_objects.put(kubectl, [{**SECRET, "stringData": {"access-key": "a"}}])
    stack.up(color="never")
    first_objects.put(kubectl, [{**SECRET, "stringData": {"access-key": "b"}}])
    assert stack.preview(color="never").change_summary.keys() == {"same"}
    namespace = running.request("GET", "/api/v1/namespaces/data").json()
    assert namespace["metadata"]["labels"]["app.kubernetes.io/part-of"] == PART_OF
    secret = running.request("GET", "/api/v1/namespaces/data/secrets/backup-store").json()
    assert secret["data"] == {"access-key": "Yg=="}
