import json

import pytest

from slipway.node import addons
from slipway.node.spec import ClusterSpec

IMAGES = {name: f"registry.test/{name}@sha256:{'0' * 64}" for name in addons.IMAGES}


def pods(objects):
    return [it["spec"]["template"]["spec"] for it in objects if it["kind"] == "Deployment"]


@pytest.mark.parametrize("nodes", [1, 3])
def test_dns_is_doubled_where_it_can_be_and_has_the_address_that_pods_are_told(nodes):
    spec = ClusterSpec(nodes=nodes)
    objects = addons.manifests(spec, IMAGES)
    deployment = next(it for it in objects if it["kind"] == "Deployment" and it["metadata"]["name"] == "coredns")
    assert deployment["spec"]["replicas"] == min(2, nodes)
    service = next(it for it in objects if it["kind"] == "Service")
    assert service["spec"]["clusterIP"] == spec.dns_address


def test_every_image_is_by_digest_and_every_pod_is_restricted():
    for pod in pods(addons.manifests(ClusterSpec(), IMAGES)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert "@sha256:" in container["image"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]


def test_each_node_keeps_its_volumes_in_its_own_folder():
    spec = ClusterSpec()
    config = next(it for it in addons.storage.manifests(spec, IMAGES) if it["kind"] == "ConfigMap")["data"]
    paths = {entry["node"]: entry["paths"] for entry in json.loads(config["config.json"])["nodePathMap"]}
    assert paths == {node.name: [f"{node.home}/volumes"] for node in spec.workers}
    assert json.loads(config["helperPod.yaml"])["spec"]["containers"][0]["image"] == IMAGES["shell"]


def test_one_storage_class_is_the_default():
    classes = [it for it in addons.manifests(ClusterSpec(), IMAGES) if it["kind"] == "StorageClass"]
    assert [it["metadata"]["name"] for it in classes] == [addons.storage.STORAGE_CLASS]
