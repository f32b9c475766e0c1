"""From Kubernetes objects to the parts that people know: pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True)
class Component:
    """One part of the running system.

    Args:
        name: `kind/namespace/name` without the kind's group.
        ready: whether as many replicas as wanted are ready.
        detail: ready/wanted.
        version: the first container's image, without registry, digest shortened.
        address: where it is reached, if it has an address of its own.
    """

    name: str
    ready: bool
    detail: str
    version: str
    address: str

    def to_dict(self) -> dict[str, str | bool]:
        """The form of `slipway status --json`."""
        return {"name": self.name, "ready": self.ready, "version": self.version, "address": self.address}


def components(objects: Iterable[Mapping[str, Any]]) -> list[Component]:
    """Nodes, workloads, databases, and Services with an outside address."""
    found = [component for it in objects if (component := _component(it))]
    return sorted(found, key=lambda it: it.name)


def _component(it: Mapping[str, Any]) -> Component | None:
    kind, meta, spec, status = it["kind"], it["metadata"], it.get("spec", {}), it.get("status", {})
    where = f"{meta.get('namespace', '')}/{meta['name']}".lstrip("/")
    match kind:
        case "Node":
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
            address = next((a["address"] for a in status.get("addresses", ()) if a["type"] == "InternalIP"), "")
            version = status.get("nodeInfo", {}).get("kubeletVersion", "")
            return Component(f"node/{where}", ready, "ready" if ready else "not ready", version, address)
        case "Deployment" | "StatefulSet":
            return _counted(where, status.get("readyReplicas", 0), spec.get("replicas", 1), _image(spec))
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled", 0)
            return _counted(where, status.get("numberReady", 0), wanted, _image(spec))
        case "Cluster":
            return _counted(
                where, status.get("readyInstances", 0), spec["instances"], _short(spec.get("imageName", ""))
            )
        case "Service" if spec.get("type") == "LoadBalancer":
            ingress = status.get("loadBalancer", {}).get("ingress", [])
            address = ", ".join(entry.get("ip") or entry.get("hostname", "") for entry in ingress)
            return Component(f"address/{where}", bool(address), "given" if address else "waiting", "", address)
        case _:
            return None


def _counted(name: str, ready: int, wanted: int, version: str) -> Component:
    return Component(name, ready >= wanted, f"{ready}/{wanted}", version, "")


def _image(spec: Mapping[str, Any]) -> str:
    containers = spec.get("template", {}).get("spec", {}).get("containers", [])
    return _short(containers[0]["image"]) if containers else ""


def _short(image: str) -> str:
    """`host:port/name@sha256:<64>` as `name@<12>`."""
    name, _, digest = image.rpartition("/")[2].partition("@sha256:")
    return f"{name}@{digest[:12]}" if digest else name
