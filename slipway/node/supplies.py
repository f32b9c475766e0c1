"""What a cluster is made from: programs and images, given by whoever makes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from slipway.node.addons import IMAGES as ADDON_IMAGES

BUILT_BINARIES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
"""Programs that the toolchain builds."""

HOST_BINARIES = ("containerd", "docker-registry", "runc", "containerd-shim-runc-v2")
"""Programs that come with the host's packages."""

CNI_PLUGINS = Path("/usr/lib/cni")

IMAGES = ("pause", *ADDON_IMAGES)
"""Images without which no pod, no name and no volume comes up."""

Progress = Callable[[str], None]
"""Told in a few words what is being done now."""


class Supplies(Protocol):
    """Programs and images by their logical names."""

    def binary(self, name: str) -> Path:
        """The file of a program."""
        ...

    def image_digest(self, name: str) -> str:
        """The digest (sha256:...) of an image, which pushing keeps."""
        ...

    def push(self, name: str, registry: str, certificates: Path) -> str:
        """Push an image.

        Args:
            name: logical name, also the repository's.
            registry: host:port.
            certificates: folder with ca.crt, client.cert and client.key for mutual TLS.

        Returns:
            The digest under which the registry keeps it.
        """
        ...
