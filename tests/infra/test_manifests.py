"""Release manifests: the right object is changed, and a renamed one is an error instead of a change that is lost."""

import pytest

from infra import manifests
from infra.manifests import ManifestError
from infra.profiles import Size

SIZE = Size("10m", "16Mi", "100m", "64Mi")


def workload():
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "controller"},
        "spec": {
            "template": {
                "spec": {
                    "initContainers": [{"name": "init", "image": "upstream/init:1"}],
                    "containers": [{"name": "main", "image": "upstream/main:1", "env": [{"name": "A", "value": "1"}]}],
                }
            }
        },
    }


def changed(*changes):
    return manifests.change([workload()], {("Deployment", "controller"): changes})[0]


def test_a_manifest_is_taken_apart_into_its_objects():
    content = b"apiVersion: v1\nkind: A\nmetadata: {}\n---\n---\napiVersion: v1\nkind: B\nmetadata: {}\n"
    assert [it["kind"] for it in manifests.parse(content)] == ["A", "B"]


@pytest.mark.parametrize("content", [b"a: [", b"just text", b"kind: A\n", b"- 1\n"])
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(ManifestError, match="the release manifest"):
        manifests.parse(content)


def test_definitions_come_first_and_namespaces_are_left_out():
    objects = [{"kind": kind} for kind in ("Namespace", "Service", "CustomResourceDefinition", "Deployment")]
    definitions, rest = manifests.split(objects)
    assert [it["kind"] for it in definitions] == ["CustomResourceDefinition"]
    assert [it["kind"] for it in rest] == ["Service", "Deployment"]


def test_an_image_is_replaced_and_only_pulled_if_it_is_missing():
    containers = manifests.containers(changed(manifests.with_image("local/main@sha256:0", "main")))
    assert containers == [
        {"name": "init", "image": "upstream/init:1"},
        {
            "name": "main",
            "image": "local/main@sha256:0",
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "A", "value": "1"}],
        },
    ]


def test_init_containers_are_found_too():
    assert manifests.containers(changed(manifests.with_image("local/init:1", "init")))[0]["image"] == "local/init:1"


def test_the_original_is_left_alone():
    original = workload()
    manifests.change([original], {("Deployment", "controller"): [manifests.with_image("x", "main")]})
    assert original == workload()


def test_sizes_fields_and_annotations_are_set():
    document = changed(
        manifests.with_resources("main", SIZE),
        manifests.with_environment("main", "A", "2"),
        manifests.with_more_environment("main", B="3"),
        manifests.with_spec(replicas=2),
        manifests.with_pod(priorityClassName="high"),
        manifests.with_annotations(**{"pulumi.com/waitFor": "x"}),
    )
    pod = document["spec"]["template"]["spec"]
    assert document["spec"]["replicas"] == 2
    assert pod["priorityClassName"] == "high"
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "10m", "memory": "16Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    }
    assert document["metadata"]["annotations"] == {"pulumi.com/waitFor": "x"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (manifests.with_image("x", "other"), "Deployment controller has no container 'other'"),
        (manifests.with_more_environment("main", A="1"), "the container main has A already"),
        (manifests.with_environment("main", "B", "1"), "the container main has no environment variable B"),
    ],
)
def test_a_change_of_something_that_is_not_there_is_an_error(change, message):
    with pytest.raises(ManifestError, match=message):
        changed(change)


def test_a_change_of_an_object_that_is_not_there_is_an_error():
    with pytest.raises(ManifestError, match="has no DaemonSet speaker, which infra wants to change"):
        manifests.change([workload()], {("DaemonSet", "speaker"): []})


def test_objects_without_pods_have_no_containers():
    assert manifests.containers({"kind": "Service", "spec": {}}) == []
