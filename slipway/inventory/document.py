"""Writes parts as a CycloneDX document."""

# The library's decorators hide its classes' constructors from type checkers; tests hold what is made to the schema.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false

from collections.abc import Iterable
from typing import Final

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.spdx import fixup_id, is_expression
from packageurl import PackageURL

from slipway.inventory.parts import Part

#: The form that uv writes too.
SCHEMA: Final = SchemaVersion.V1_5


def render(image: str, digest: str, parts: Iterable[Part]) -> str:
    """The list of an image's parts, as text.

    Args:
        image: Its name.
        digest: `sha256:...` of its manifest.
        parts: What is in it.
    """
    folder, _, name = image.rpartition("/")
    root = Component(
        name=image,
        version=digest,
        type=ComponentType.CONTAINER,
        purl=PackageURL("oci", None, name, digest, {"repository_url": image} if folder else None),
        bom_ref=BomRef(f"{image}@{digest}"),
    )
    components = [_component(it) for it in parts]
    bom = Bom(components=components)
    bom.metadata.component = root
    bom.register_dependency(root, components)
    return make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=1) + "\n"


def _component(part: Part) -> Component:
    reference = part.purl.to_string()
    places = [Occurrence(bom_ref=BomRef(f"{reference}#{it}"), location=f"/{it}") for it in part.places]
    return Component(
        name=part.name,
        version=part.version,
        purl=part.purl,
        bom_ref=BomRef(reference),
        licenses=_licences(part.licences),
        properties=[Property(name="slipway:go:sum", value=part.sum)] if part.sum else (),
        evidence=ComponentEvidence(occurrences=places) if places else None,
    )


def _licences(named: tuple[str, ...]) -> list[License]:
    """One may be an expression; of several each is an id of SPDX, or a name."""
    if len(named) == 1 and fixup_id(named[0]) is None and is_expression(named[0]):
        return [LicenseExpression(named[0])]
    return [DisjunctiveLicense(id=known) if (known := fixup_id(it)) else DisjunctiveLicense(name=it) for it in named]
