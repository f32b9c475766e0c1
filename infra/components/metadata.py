"""Metadata of objects, in one form."""

from collections.abc import Mapping

from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict


def metadata(
    name: str,
    labels: Mapping[str, str],
    *,
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> ObjectMetaArgsDict:
    """Metadata of an object.

    Args:
        name: Its name.
        labels: Its labels.
        namespace: Its namespace; left out for objects that have none.
        annotations: Its annotations.
    """
    result: ObjectMetaArgsDict = {"name": name, "labels": dict(labels)}
    if namespace is not None:
        result["namespace"] = namespace
    if annotations is not None:
        result["annotations"] = dict(annotations)
    return result
