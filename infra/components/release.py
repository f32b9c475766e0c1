"""The objects of a release manifest, one Pulumi resource each.

Each object of its own, not a `yaml.v2.ConfigGroup`: then previews, policies and mock tests see every object with what
will be applied, and no remote component has to be constructed by a provider. The resource types are those that the
typed classes use, so the provider waits for Deployments, DaemonSets and Services as it always does.
"""

from dataclasses import dataclass
from typing import Any, final

import pulumi

from infra import manifests
from infra.components.base import Component

#: An operator's first start pulls its image and makes its own certificates.
READY_TIMEOUT = "5m"


@dataclass(frozen=True)
class ReleaseConfig:
    """A release manifest, already changed.

    Attributes:
        documents: Its objects.
        namespace: Where the objects live; only for waiting, the objects name it themselves.
    """

    documents: tuple[dict[str, Any], ...]
    namespace: pulumi.Resource


@final
@dataclass(frozen=True)
class ReleaseResources:
    """What was made.

    Attributes:
        definitions: The custom resource definitions.
        objects: Everything else.
    """

    definitions: tuple[pulumi.CustomResource, ...]
    objects: tuple[pulumi.CustomResource, ...]


class Release(Component):
    """Software as its project releases it. It is ready when its Deployments are and its webhooks are reachable."""

    def __init__(self, name: str, config: ReleaseConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make its objects: definitions of kinds first, the rest at once."""
        definitions, rest = manifests.split(config.documents)
        super().__init__("Release", name, opts)
        made = tuple(self._object(document, [config.namespace]) for document in definitions)
        self.resources = ReleaseResources(
            made, tuple(self._object(document, [config.namespace, *made]) for document in rest)
        )
        self.register_outputs({})

    def _object(self, document: dict[str, Any], depends_on: list[pulumi.Resource]) -> pulumi.CustomResource:
        options = self.child(depends_on=depends_on, timeout=READY_TIMEOUT)
        if document["kind"] == "Secret":
            # Controllers fill these in; a refresh must not write what they hold into the state in plain text.
            options = pulumi.ResourceOptions.merge(
                options, pulumi.ResourceOptions(additional_secret_outputs=["data", "stringData"])
            )
        return pulumi.CustomResource(resource_type(document), resource_name(document), dict(document), options)


def resource_type(document: dict[str, Any]) -> str:
    """The provider's type token of an object; objects without an API group are in `core`."""
    group_version: str = document["apiVersion"]
    return f"kubernetes:{group_version if '/' in group_version else f'core/{group_version}'}:{document['kind']}"


def resource_name(document: dict[str, Any]) -> str:
    """Name of an object's resource: as unique as the object is in the cluster, and never changing."""
    metadata = document["metadata"]
    where = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{document['kind'].lower()}/{where}{metadata['name']}"
