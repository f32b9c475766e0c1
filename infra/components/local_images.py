"""Images built on this machine and pushed to the cluster's own registry, referred to by digest.

Each image is a resource of its own: a preview says which image changes, and only that one is pushed. Whether it changed
is asked of the toolchain (by digest), so an edit of the service shows up in the next `pulumi up` without a version
being raised by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.components.base import Component
from infra.handover import Capabilities
from infra.images import CATALOGUE, ImageSource, image
from slipway.node.supplies import Supplies


@final
class ImageProvider(ResourceProvider):
    """Pushes an image; builds it first if it is not in the toolchain's cache."""

    serialize_as_secret_always = False  # it holds nothing secret, so the state can show which code pushes

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Push it. The registry's address is part of the id: another registry holds another copy."""
        return CreateResult(f"{props['registry_push']}/{props['name']}", push(props, supplies()))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Pushed again if its content or its place has changed."""
        moved = _olds["registry_push"] != _news["registry_push"]
        changed = moved or any(_olds.get(key) != _news.get(key) for key in ("registry", "certificates"))
        changed = changed or _olds["digest"] != supplies().image_digest(_news["name"])
        return DiffResult(changes=changed, replaces=["registry_push"] if moved else [], delete_before_replace=False)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Push what it is now. The old one stays in the registry, for pods that still run it."""
        return UpdateResult(push(_news, supplies()))


def push(props: Mapping[str, Any], stock: Supplies) -> dict[str, Any]:
    """Push an image and say how pods refer to it.

    Args:
        props: name, registry, registry_push and certificates.
        stock: Where images come from.

    Returns:
        The same with `digest` and `reference`.
    """
    digest = stock.push(props["name"], props["registry_push"], Path(props["certificates"]))
    reference = image(props["name"]).local_reference(props["registry"], digest)
    return {**props, "digest": digest, "reference": reference}


def supplies() -> Supplies:
    """The toolchain. Imported when it is needed: a preview that pushes nothing should not wait for it."""
    from slipway.node.stock import Stock  # noqa: PLC0415  # see above

    return Stock()


class LocalImage(Resource, module="slipway", name="LocalImage"):
    """An image in the cluster's registry.

    Attributes:
        reference: How pods refer to it, by digest.
    """

    reference: pulumi.Output[str]

    def __init__(self, name: str, capabilities: Capabilities, opts: pulumi.ResourceOptions | None = None) -> None:
        """Build and push it.

        Args:
            name: Its name in the catalogue.
            capabilities: The cluster's; must have a registry.
            opts: Options of the caller.

        Raises:
            KeyError: The catalogue does not know it.
        """
        super().__init__(
            ImageProvider(),
            f"image-{name}",
            {
                "name": image(name).name,
                "registry": capabilities.registry,
                "registry_push": capabilities.registry_push,
                "certificates": capabilities.registry_certificates,
                "digest": None,
                "reference": None,
            },
            opts,
        )


@dataclass(frozen=True)
class ImagesConfig:
    """Which images, and where from.

    Attributes:
        names: Their names in the catalogue.
        source: Where they come from.
        capabilities: The cluster's.
        mirror: Prefix before upstream references.
    """

    names: Sequence[str]
    source: ImageSource
    capabilities: Capabilities
    mirror: str | None = None


class Images(Component):
    """References of images, whatever their source.

    Attributes:
        references: Logical name -> reference.
    """

    def __init__(self, name: str, config: ImagesConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Push what has to be pushed. Raises `ValueError` for a source that the cluster cannot have."""
        local = resolve_source(config) is ImageSource.LOCAL
        super().__init__("Images", name, opts)
        self.references: Mapping[str, pulumi.Output[str]] = {
            each: LocalImage(each, config.capabilities, self.child()).reference
            if local
            else pulumi.Output.from_input(CATALOGUE[each].upstream_reference(config.mirror))
            for each in config.names
        }
        self.register_outputs({})


def resolve_source(config: ImagesConfig) -> ImageSource:
    """Where the images come from on this cluster.

    Raises:
        KeyError: The catalogue does not know an image.
        ValueError: Local images are wanted, but the cluster has no registry.
    """
    for each in config.names:
        image(each)
    if config.source is ImageSource.LOCAL and not config.capabilities.local_images:
        raise ValueError(
            "imageSource is 'local', but the cluster has no registry to push to; use 'upstream', or give an existing "
            "cluster its registry in slipway-cluster:existing"
        )
    if config.source is ImageSource.AUTO:
        return ImageSource.LOCAL if config.capabilities.local_images else ImageSource.UPSTREAM
    return config.source
