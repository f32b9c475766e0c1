"""Release manifests of other projects: read, checked, and changed in pure functions.

A manifest is never copied into the repository. Its bytes come out of the Go module that the program itself is built
from (`infra.releases`), pinned by digest, and only the changes made here are ours.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pulumi
import yaml

from infra.labels import HOSTNAME
from infra.profiles import Size

Manifest = dict[str, Any]
Change = Callable[[Manifest], Manifest]

#: The parser in C, which every wheel of PyYAML has: the one in Python takes seconds for a megabyte of definitions.
_PARSER: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CRD: Final = "CustomResourceDefinition"
_POD_OWNERS: Final = frozenset({"Deployment", "DaemonSet", "StatefulSet", "Job"})


class _Loader(_PARSER):
    """Reads a bare `=` as text: in YAML 1.1 it is a type of its own, and Prometheus' definitions list it as it is."""


_Loader.add_constructor("tag:yaml.org,2002:value", _Loader.construct_yaml_str)


class ManifestError(pulumi.RunError):
    """A release manifest is not what was expected."""


def parse(content: bytes) -> list[Manifest]:
    """Take a manifest apart into its objects.

    Raises:
        ManifestError: It is not YAML, or holds something that is no object.
    """
    try:
        documents = [document for document in yaml.load_all(content, Loader=_Loader) if document]
    except yaml.YAMLError as error:
        raise ManifestError(f"the release manifest is not valid YAML: {error}") from error
    for document in documents:
        if not isinstance(document, dict) or not {"apiVersion", "kind", "metadata"} <= document.keys():
            raise ManifestError(f"the release manifest holds something that is no object: {str(document)[:80]!r}")
    return documents


def split(documents: Iterable[Manifest]) -> tuple[list[Manifest], list[Manifest]]:
    """Part the definitions of kinds, which must be there first, from everything else.

    Namespaces are left out: they are the platform's own, with its labels.

    Returns:
        The definitions and the rest, each in the manifest's order.
    """
    kept = [document for document in documents if document["kind"] != "Namespace"]
    return (
        [document for document in kept if document["kind"] == _CRD],
        [document for document in kept if document["kind"] != _CRD],
    )


def change(documents: Iterable[Manifest], changes: Mapping[tuple[str, str], Sequence[Change]]) -> list[Manifest]:
    """Apply changes to objects by kind and name, on copies.

    Args:
        documents: Objects of a manifest.
        changes: (kind, name) -> changes, applied in order.

    Raises:
        ManifestError: A change names an object that is not there (upstream renamed it, say).
    """
    result: list[Manifest] = []
    missing = set(changes)
    for original in documents:
        document = copy.deepcopy(original)
        identity = (document["kind"], document["metadata"]["name"])
        missing.discard(identity)
        for apply in changes.get(identity, ()):
            document = apply(document)
        result.append(document)
    if missing:
        names = ", ".join(f"{kind} {name}" for kind, name in sorted(missing))
        raise ManifestError(f"the release manifest has no {names}, which infra wants to change; read the new manifest")
    return result


def containers(document: Manifest) -> list[Manifest]:
    """Containers and init containers of an object that makes pods; empty for every other object."""
    if document["kind"] not in _POD_OWNERS:
        return []
    spec = document["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def moved(documents: Iterable[Manifest], namespace: str) -> list[Manifest]:
    """Copies of objects in another namespace, and of bindings to accounts there."""
    result = [copy.deepcopy(document) for document in documents]
    for document in result:
        subjects: list[Manifest] = document.get("subjects", [])
        for holder in (document["metadata"], *subjects):
            if "namespace" in holder:
                holder["namespace"] = namespace
    return result


def with_image(reference: pulumi.Input[str], container: str) -> Change:
    """Run a container from another image, which is pulled only if the node does not have it.

    Args:
        reference: The image.
        container: Name of the container.
    """

    def apply(document: Manifest) -> Manifest:
        found = _container(document, container)
        found["image"] = reference
        found["imagePullPolicy"] = "IfNotPresent"
        return document

    return apply


def with_environment(container: str, name: str, value: pulumi.Input[str]) -> Change:
    """Give an environment variable that is there another value.

    Args:
        container: Name of the container.
        name: Name of the variable.
        value: Its new value.
    """

    def apply(document: Manifest) -> Manifest:
        variables = _container(document, container).get("env", [])
        matching = [variable for variable in variables if variable["name"] == name]
        if not matching:
            raise ManifestError(f"the container {container} has no environment variable {name}; read the new manifest")
        matching[0]["value"] = value
        return document

    return apply


def with_more_environment(container: str, **variables: pulumi.Input[str]) -> Change:
    """Give environment variables that are not there.

    Args:
        container: Name of the container.
        variables: Their names and values.
    """

    def apply(document: Manifest) -> Manifest:
        given = _container(document, container).setdefault("env", [])
        there = [it["name"] for it in given if it["name"] in variables]
        if there:
            raise ManifestError(f"the container {container} has {', '.join(there)} already; read the new manifest")
        given += [{"name": name, "value": value} for name, value in variables.items()]
        return document

    return apply


def with_resources(container: str, size: Size) -> Change:
    """Set requests and limits of a container."""

    def apply(document: Manifest) -> Manifest:
        _container(document, container)["resources"] = {"requests": size.requests(), "limits": size.limits()}
        return document

    return apply


def with_container(container: str, **values: Any) -> Change:
    """Set fields of a container, by their names in the manifest."""

    def apply(document: Manifest) -> Manifest:
        _container(document, container).update(values)
        return document

    return apply


def with_pod_annotations(**annotations: str) -> Change:
    """Add annotations to the pods; their names are not identifiers, so they are given by unpacking a mapping."""

    def apply(document: Manifest) -> Manifest:
        document["spec"]["template"]["metadata"].setdefault("annotations", {}).update(annotations)
        return document

    return apply


def with_pod(**values: Any) -> Change:
    """Set fields of the pod specification, by their names in the manifest."""

    def apply(document: Manifest) -> Manifest:
        document["spec"]["template"]["spec"].update(values)
        return document

    return apply


def with_spec(**values: Any) -> Change:
    """Set fields of an object's specification, by their names in the manifest."""

    def apply(document: Manifest) -> Manifest:
        document["spec"].update(values)
        return document

    return apply


def with_annotations(**annotations: str) -> Change:
    """Add annotations; their names are not identifiers, so they are given by unpacking a mapping."""

    def apply(document: Manifest) -> Manifest:
        document["metadata"].setdefault("annotations", {}).update(annotations)
        return document

    return apply


def pod_security(user: int) -> Manifest:
    """The security context of pods that run as a user who is nobody else, and whose files are that user's."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def tolerations(node_loss: int) -> list[Manifest]:
    """Leave a lost node after some seconds; by default Kubernetes waits five minutes.

    Args:
        node_loss: Seconds.
    """
    return [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": node_loss,
        }
        for state in ("not-ready", "unreachable")
    ]


def spread(selector: Mapping[str, str]) -> list[Manifest]:
    """Different nodes for the pods of a revision, as `infra.components.pods.spread`."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": HOSTNAME,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": dict(selector)},
            "matchLabelKeys": ["pod-template-hash"],
            "nodeTaintsPolicy": "Honor",
        }
    ]


def _container(document: Manifest, name: str) -> Manifest:
    for container in containers(document):
        if container["name"] == name:
            return container
    raise ManifestError(
        f"{document['kind']} {document['metadata']['name']} has no container {name!r}; read the new manifest"
    )
