"""The switch that tells workers which colour consumes: a ConfigMap of one value, a file in every worker's pod. Pure.

One value cannot name two colours, and a pod that starts reads it without the controller. It is no part of a revision.
"""

from collections.abc import Mapping
from typing import Any, Final

from slipway.rollout.observation import SetConsumers, Switch
from slipway.rollout.status import Colour

KEY: Final = "colour"
FOLDER: Final = "/run/slipway/consumers"
VARIABLE: Final = "SLIPWAY_CONSUME_COLOUR_FILE"
FENCE: Final = "slipway.dev/fence"
TOLD: Final = "slipway.dev/consumes"
"""On pods of workers: what they were last told. Only that it changes matters, see `cluster.py`."""
VOLUME: Final = "slipway-consumers"

Manifest = dict[str, Any]


def name_of(rollout: str) -> str:
    """Return the name of the ConfigMap of a rollout."""
    return f"{rollout}-consumers"


def mount(pod: Manifest, rollout: str) -> None:
    """Give every container of a pod the file, and say where it is."""
    # Optional: a pod that starts before the switch is there waits, and consumes nothing.
    source = {"name": name_of(rollout), "optional": True}
    pod["volumes"] = [*pod.get("volumes", []), {"name": VOLUME, "configMap": source}]
    for container in pod["containers"]:
        mounted = {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
        container["volumeMounts"] = [*container.get("volumeMounts", []), mounted]
        container["env"] = [*container.get("env", []), {"name": VARIABLE, "value": f"{FOLDER}/{KEY}"}]


def manifest(rollout: Mapping[str, str], action: SetConsumers, owners: list[Manifest]) -> Manifest:
    """Return the switch, as it shall be."""
    metadata: Manifest = {
        "name": name_of(rollout["name"]),
        "namespace": rollout["namespace"],
        "annotations": {FENCE: str(action.fence)},
        "ownerReferences": owners,
    }
    if action.version:
        metadata["resourceVersion"] = action.version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: action.colour.value}}


def read(found: Mapping[str, Any] | None) -> Switch:
    """Return what a switch says; one that names no colour, or is not there, says none."""
    if found is None:
        return Switch(None, 0, "")
    metadata = found["metadata"]
    said = (found.get("data") or {}).get(KEY, "").strip()
    fence = (metadata.get("annotations") or {}).get(FENCE, "")
    return Switch(
        Colour(said) if said in set(Colour) else None,
        int(fence) if fence.isdigit() else 0,
        metadata["resourceVersion"],
    )
