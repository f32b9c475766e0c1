"""The vocabulary of the rules: manifests, workloads, findings. Pure; knows neither Pulumi nor Helm.

A manifest is a Kubernetes object as parsed JSON. The helpers read with defaults instead of raising: a manifest that
lacks a field breaks the rule about that field, not the program.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

Manifest = Mapping[str, Any]

COLOUR_LABEL = "slipway.dev/colour"


class Scope(StrEnum):
    """What a rule has to see to decide."""

    OBJECT = "object"  # one manifest tells
    SET = "set"  # the others of the same set matter too


@dataclass(frozen=True)
class Finding:
    """One manifest that breaks a rule. `detail` says what was found, in one sentence without the subject."""

    kind: str
    namespace: str
    name: str
    detail: str

    @property
    def subject(self) -> str:
        """Returns the object as people name it, such as `Deployment dev/payload-blue`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Rule:
    """One thing that must hold.

    `check` gets all manifests of the set and gives the findings; a rule of scope OBJECT may be called with one
    manifest at a time and answers the same. `why` is for the reader who wonders, `mend` for the one who must act.
    """

    id: str
    scope: Scope
    why: str
    mend: str
    check: Callable[[Sequence[Manifest]], Iterable[Finding]]


@dataclass(frozen=True)
class Workload:
    """A manifest that makes pods, with its pod template. `replicas` is None where the number is not the manifest's."""

    manifest: Manifest
    kind: str
    namespace: str
    name: str
    template: Manifest
    replicas: int | None

    @property
    def spec(self) -> Manifest:
        """Returns the pod's spec."""
        return section(self.template, "spec")

    @property
    def labels(self) -> Mapping[str, str]:
        """Returns the pod's labels."""
        return cast("Mapping[str, str]", section(self.template, "metadata", "labels"))

    @property
    def containers(self) -> list[Manifest]:
        """Returns the containers that run for as long as the pod does."""
        return entries(self.spec, "containers")

    @property
    def all_containers(self) -> list[Manifest]:
        """Returns the init containers and the containers."""
        return [*entries(self.spec, "initContainers"), *self.containers]

    @property
    def lasting(self) -> bool:
        """Returns whether its pods are meant to run until they are replaced, as opposed to a Job's."""
        return self.kind not in {"Job", "CronJob", "Pod"}

    def finding(self, detail: str) -> Finding:
        """Returns a finding about this workload."""
        return Finding(self.kind, self.namespace, self.name, detail)


# Where the pod template of each kind is. A Pod is its own template.
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def section(manifest: Manifest, *path: str) -> Manifest:
    """Returns the mapping at `path`, empty when it or something on the way is missing."""
    here = manifest
    for key in path:
        below: object = here.get(key)
        if not isinstance(below, Mapping):
            return {}
        here = cast("Manifest", below)
    return here


def entries(manifest: Manifest, key: str) -> list[Manifest]:
    """Returns the mappings in the list `manifest[key]`, empty when there is none."""
    value: object = manifest.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [cast("Manifest", entry) for entry in cast("Sequence[object]", value) if isinstance(entry, Mapping)]


def kind_of(manifest: Manifest) -> str:
    """Returns the kind, empty when there is none."""
    return str(manifest.get("kind", ""))


def name_of(manifest: Manifest) -> str:
    """Returns the object's name, empty when there is none."""
    return str(section(manifest, "metadata").get("name", ""))


def namespace_of(manifest: Manifest) -> str:
    """Returns the object's namespace, empty when it names none (cluster-wide, or left to the client)."""
    return str(section(manifest, "metadata").get("namespace") or "")


def finding(manifest: Manifest, detail: str) -> Finding:
    """Returns a finding about a manifest."""
    return Finding(kind_of(manifest), namespace_of(manifest), name_of(manifest), detail)


def of_kind(manifests: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Returns the manifests of the given kinds."""
    return [manifest for manifest in manifests if kind_of(manifest) in kinds]


def workloads(manifests: Iterable[Manifest]) -> Iterator[Workload]:
    """Gives the manifests that make pods."""
    for manifest in manifests:
        kind = kind_of(manifest)
        if kind not in _TEMPLATES:
            continue
        replicas: int | None = None
        if kind in {"Deployment", "StatefulSet", "ReplicaSet"}:
            replicas = int(section(manifest, "spec").get("replicas", 1))
        yield Workload(
            manifest=manifest,
            kind=kind,
            namespace=namespace_of(manifest),
            name=name_of(manifest),
            template=section(manifest, *_TEMPLATES[kind]),
            replicas=replicas,
        )


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Returns whether a LabelSelector (matchLabels, matchExpressions) selects the labels. An empty one selects all."""
    if any(labels.get(key) != value for key, value in section(selector, "matchLabels").items()):
        return False
    return all(_expression_holds(expression, labels) for expression in entries(selector, "matchExpressions"))


def _expression_holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    key, values = str(expression.get("key")), cast("Sequence[str]", expression.get("values") or ())
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case operator:
            raise ValueError(f"matchExpressions: operator {operator!r}; allowed are In, NotIn, Exists, DoesNotExist")
