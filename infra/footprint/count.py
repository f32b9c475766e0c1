"""From objects to what they request: pure.

Every place where an object asks for CPU, memory or disk has to be understood here: a request in a place that is not
stops the count with an error, so that a new kind of workload cannot be left out by oversight.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from infra.footprint.rehearsal import Declared
from infra.quantities import millicores, octets

_CHART: Final = "kubernetes:helm.sh/v4:Chart"
_RELOADER: Final = re.compile(r"--config-reloader-(?P<what>cpu|memory)-request=(?P<quantity>.+)")
#: Objects that describe requests without making any pod: their schemas have fields of these names.
_DESCRIPTIONS: Final = frozenset({"CustomResourceDefinition"})


class FootprintError(RuntimeError):
    """What an object requests cannot be told."""


@final
@dataclass(frozen=True)
class Total:
    """A sum of requests.

    Attributes:
        cpu: In thousandths of a core.
        memory: In bytes.
        disk: Of volumes, in bytes.
    """

    cpu: int = 0
    memory: int = 0
    disk: int = 0

    def __add__(self, other: "Total") -> "Total":
        """Both together."""
        return Total(self.cpu + other.cpu, self.memory + other.memory, self.disk + other.disk)

    def __mul__(self, times: int) -> "Total":
        """As often as given."""
        return Total(self.cpu * times, self.memory * times, self.disk * times)


@final
@dataclass(frozen=True)
class Usage:
    """The pods of one object.

    Attributes:
        part: The part of the platform that it belongs to: the outermost component but one.
        name: Kind and name.
        pods: How many.
        each: What one of them requests.
    """

    part: str
    name: str
    pods: int
    each: Total

    @property
    def total(self) -> Total:
        """What all of them request."""
        return self.each * self.pods


def usages(declared: Iterable[Declared], nodes: int) -> list[Usage]:
    """What each object requests.

    Args:
        declared: Everything that a program makes.
        nodes: How many nodes there are; a DaemonSet has a pod on each.

    Returns:
        By part and name.

    Raises:
        FootprintError: An object requests something in a place that is not understood.
    """
    everything = list(declared)
    found = [usage for it in everything for usage in _usages(it, everything, nodes)]
    # Resources are registered side by side, in an order that differs from run to run.
    return sorted(found, key=lambda usage: (usage.part, usage.name))


def _usages(it: Declared, everything: Sequence[Declared], nodes: int) -> list[Usage]:
    kind = "Chart" if it.type == _CHART else it.inputs.get("kind", "")
    if kind in _DESCRIPTIONS or not it.type.startswith("kubernetes:"):
        return []
    asked = sum(1 for _ in _requests(it.inputs))
    if kind not in _KINDS:
        if asked:
            raise FootprintError(
                f"{kind} {it.name!r} requests CPU, memory or disk, but infra/footprint/count.py cannot tell for how "
                f"many pods; it knows {', '.join(sorted(_KINDS))}. Teach it this kind."
            )
        return []
    counted, understood = _KINDS[kind](it, everything, nodes)
    if asked != understood:
        raise FootprintError(
            f"{kind} {it.name!r} has {asked} places that request something, of which infra/footprint/count.py "
            f"understood {understood}"
        )
    name = it.inputs.get("metadata", {}).get("name", it.name)
    # The outermost component is the platform as a whole, or the service.
    part = (*it.parents, it.name)[min(1, max(0, len(it.parents) - 1))]
    return [Usage(part, f"{kind}/{name}", pods, each) for pods, each in counted]


#: Pods and what each of them requests, kind by kind; and how many places of the object that was read from.
Counted = tuple[tuple[tuple[int, Total], ...], int]


def _workload(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    del everything
    spec = it.inputs["spec"]
    each, understood = _pod(spec["template"]["spec"])
    for claim in spec.get("volumeClaimTemplates") or ():
        each += Total(disk=octets(claim["spec"]["resources"]["requests"]["storage"]))
        understood += 1
    pods = nodes if it.inputs["kind"] == "DaemonSet" else spec.get("replicas", 1)
    return ((pods, each),), understood


def _pod(spec: Mapping[str, Any]) -> tuple[Total, int]:
    """A pod requests the sum of its containers, or more if one that runs before them does."""
    running = [_container(it) for it in spec["containers"]]
    before = [(_container(it), it.get("restartPolicy") == "Always") for it in spec.get("initContainers") or ()]
    running += [each for each, stays in before if stays]
    highest = [each for each, stays in before if not stays]
    summed = sum(running, Total())
    understood = sum("requests" in (it.get("resources") or {}) for it in _all_containers(spec))
    return (
        Total(
            cpu=max([summed.cpu, *(it.cpu for it in highest)]),
            memory=max([summed.memory, *(it.memory for it in highest)]),
        ),
        understood,
    )


def _all_containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*spec["containers"], *(spec.get("initContainers") or ())]


def _container(it: Mapping[str, Any]) -> Total:
    return _asked((it.get("resources") or {}).get("requests") or {})


def _asked(requests: Mapping[str, Any]) -> Total:
    return Total(cpu=millicores(requests.get("cpu", "0")), memory=octets(requests.get("memory", "0")))


def _postgres(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    del nodes
    spec = it.inputs["spec"]
    disk = octets(spec["storage"]["size"]) + octets(spec["walStorage"]["size"])
    each = _asked(spec["resources"]["requests"]) + Total(disk=disk)
    # The plugin puts a container beside each instance; its store says how big.
    beside = [_sidecar(other) for other in everything if other.inputs.get("kind") == "ObjectStore"]
    return ((spec["instances"], sum(beside if spec.get("plugins") else [], each)),), 1


def _pooler(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    del everything, nodes
    spec = it.inputs["spec"]
    each, understood = _pod(spec["template"]["spec"])
    return ((spec["instances"], each),), understood


def _store(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    """No pod of its own: what it asks for is counted with each instance of Postgres."""
    del it, everything, nodes
    return ((0, Total()),), 1


def _sidecar(it: Declared) -> Total:
    return _asked(it.inputs["spec"]["instanceSidecarConfiguration"]["resources"]["requests"])


def _prometheus(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    del nodes
    spec = it.inputs["spec"]
    claim = spec["storage"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]
    each = _asked(spec["resources"]["requests"]) + _reloader(everything) + Total(disk=octets(claim["storage"]))
    return ((spec.get("replicas", 1), each),), 2


def _alertmanager(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    del nodes
    spec = it.inputs["spec"]
    return ((spec.get("replicas", 1), _asked(spec["resources"]["requests"]) + _reloader(everything)),), 1


def _reloader(everything: Sequence[Declared]) -> Total:
    """What the operator puts beside each Prometheus and Alertmanager; it is told how big in its own arguments."""
    asked = {
        found["what"]: found["quantity"]
        for it in everything
        if it.inputs.get("kind") == "Deployment"
        for container in it.inputs["spec"]["template"]["spec"]["containers"]
        for argument in container.get("args") or ()
        if (found := _RELOADER.fullmatch(argument))
    }
    if set(asked) != {"cpu", "memory"}:
        raise FootprintError(
            "no operator of Prometheus says what the container beside each Prometheus requests "
            "(--config-reloader-cpu-request, --config-reloader-memory-request)"
        )
    return _asked(asked)


def _chart(it: Declared, everything: Sequence[Declared], nodes: int) -> Counted:
    """The service and its workers: the chart says how big a pod is, the Rollout beside it how many there are."""
    del nodes
    beside = [other for other in everything if other.inputs.get("kind") == "Rollout" and other.parents == it.parents]
    if len(beside) != 1:
        raise FootprintError(f"the chart {it.name!r} has {len(beside)} Rollouts beside it; one says how many pods")
    values, spec = it.inputs["values"], beside[0].inputs["spec"]
    serving = (spec["replicas"], _asked(values["resources"]["requests"]))
    if "workers" not in values:
        return (serving,), 1
    working = (
        spec["workers"]["replicas"] if "workers" in spec else 0,
        _asked(values["workers"]["resources"]["requests"]),
    )
    return (serving, working), 2


_KINDS: Final[Mapping[str, Callable[[Declared, Sequence[Declared], int], Counted]]] = {
    "Deployment": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Cluster": _postgres,
    "Pooler": _pooler,
    "ObjectStore": _store,
    "Prometheus": _prometheus,
    "Alertmanager": _alertmanager,
    "Chart": _chart,
}


def _requests(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping named `requests`, wherever it stands."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "requests" and isinstance(inner, Mapping) and inner:
                yield inner
            yield from _requests(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _requests(inner)
