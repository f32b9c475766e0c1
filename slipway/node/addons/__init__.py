"""What a cluster brings by itself, wherever it runs: cluster DNS and dynamic volumes."""

from collections.abc import Mapping
from typing import Any

from slipway.node.addons import dns, storage
from slipway.node.spec import ClusterSpec

IMAGES = (*dns.IMAGES, *storage.IMAGES)
"""Logical names of the images that the manifests need."""
DEPLOYMENTS = (
    ("deployment/coredns", f"--namespace={dns.NAMESPACE}"),
    ("deployment/local-path-provisioner", f"--namespace={storage.NAMESPACE}"),
)
"""What must be rolled out before the cluster is of use."""


def manifests(spec: ClusterSpec, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """The objects of all add-ons.

    Args:
        spec: the cluster.
        images: logical name -> reference by digest, of `IMAGES`.
    """
    return [*dns.manifests(spec, images), *storage.manifests(spec, images)]
