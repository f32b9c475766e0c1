"""Pulumi's view of a Kubernetes object, turned into a manifest. Pure: plain values in, plain values out."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from infra.policy.model import Manifest

_PREFIX = "kubernetes:"


def manifest_of(resource_type: str, properties: Mapping[str, Any]) -> Manifest | None:
    """Returns the manifest behind a resource, or None when the resource is none.

    Args:
        resource_type: Pulumi's type token, such as `kubernetes:apps/v1:Deployment`.
        properties: Inputs or outputs of the resource. May be a proxy that raises on values that are not known yet;
            that error passes through, and Pulumi reports the policy as not applicable in this preview.

    """
    if not resource_type.startswith(_PREFIX) or "/" not in resource_type or resource_type.endswith("Patch"):
        return None
    version, _, kind = resource_type.removeprefix(_PREFIX).rpartition(":")
    plain = cast("dict[str, Any]", _plain(properties))
    # Charts, files and Helm releases are resources of the provider too, but no objects of the cluster.
    if "metadata" not in plain:
        return None
    core = version.removeprefix("core/")
    return {"apiVersion": plain.get("apiVersion", core), "kind": plain.get("kind", kind), **plain}


def _plain(value: object) -> object:
    """Returns a copy made of dicts and lists, whatever proxies the value was made of."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in cast("Mapping[object, object]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(inner) for inner in cast("Sequence[object]", value)]
    return value
