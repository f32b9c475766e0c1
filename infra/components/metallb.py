"""MetalLB in layer-2 mode: gives a Service of type LoadBalancer an address where no cloud does.

One node answers for the address; if that node is lost, another takes over as soon as the speakers notice. Installed
from the project's own release manifest; the pool and its announcement are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from infra import manifests
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.components.release import Release, ReleaseConfig
from infra.labels import WAIT_FOR, labels
from infra.naming import Namespace
from infra.profiles import Profile

_API = "metallb.io/v1beta1"
_POOL = "default"
#: The controller writes its certificate into its webhooks once it serves them; before that no pool can be made.
_WEBHOOK_READY = {WAIT_FOR: "jsonpath={.webhooks[0].clientConfig.caBundle}"}


@dataclass(frozen=True)
class MetalLBConfig:
    """How MetalLB is installed.

    Attributes:
        documents: Objects of its release manifest, unchanged.
        namespace: The namespace to put it into.
        images: Logical name -> reference; needs `metallb-controller` and `metallb-speaker`.
        profile: Sizes.
        address_range: Addresses that it gives out, `first-last`.
        node_loss: Seconds that its controller stays bound to a lost node.
    """

    documents: tuple[dict[str, Any], ...]
    namespace: pulumi.Resource
    images: Mapping[str, pulumi.Input[str]]
    profile: Profile
    address_range: pulumi.Input[str]
    node_loss: int


@final
@dataclass(frozen=True)
class MetalLBResources:
    """What was made."""

    release: Release
    pool: CustomResource
    advertisement: CustomResource


class MetalLB(Component):
    """Addresses for Services of type LoadBalancer."""

    def __init__(self, name: str, config: MetalLBConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Install it. Raises `ManifestError` if the release manifest lacks an object that is changed here."""
        documents = changed(config)
        super().__init__("MetalLB", name, opts)
        self.resources = self._create(config, documents)
        self.register_outputs({})

    def _create(self, config: MetalLBConfig, documents: list[dict[str, Any]]) -> MetalLBResources:
        release = Release("metallb", ReleaseConfig(tuple(documents), config.namespace), self.child())
        named = metadata(_POOL, labels("metallb", "ingress"), namespace=Namespace.METALLB.value)
        pool = CustomResource(
            "address-pool",
            api_version=_API,
            kind="IPAddressPool",
            metadata=named,
            spec={"addresses": [config.address_range]},
            opts=self.child(depends_on=[release]),
        )
        advertisement = CustomResource(
            "advertisement",
            api_version=_API,
            kind="L2Advertisement",
            metadata=named,
            spec={"ipAddressPools": [_POOL]},
            opts=self.child(depends_on=[release, pool]),
        )
        return MetalLBResources(release, pool, advertisement)


def changed(config: MetalLBConfig) -> list[dict[str, Any]]:
    """The release manifest with our images, sizes and waits. Raises `ManifestError`."""
    return manifests.change(
        config.documents,
        {
            ("Deployment", "controller"): [
                manifests.with_image(config.images["metallb-controller"], "controller"),
                manifests.with_resources("controller", config.profile.metallb_controller),
                manifests.with_pod(tolerations=manifests.tolerations(config.node_loss)),
            ],
            ("DaemonSet", "speaker"): [
                manifests.with_image(config.images["metallb-speaker"], "speaker"),
                manifests.with_resources("speaker", config.profile.metallb_speaker),
            ],
            ("ValidatingWebhookConfiguration", "metallb-webhook-configuration"): [
                manifests.with_annotations(**_WEBHOOK_READY)
            ],
        },
    )
