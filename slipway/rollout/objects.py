"""Kubernetes objects as the controller makes them, and what it reads from others. Pure functions over plain data."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from slipway.rollout import switch
from slipway.rollout.api import MANAGER
from slipway.rollout.observation import Annotation, JobView, RunJob
from slipway.rollout.spec import ConfigKind, JobCheck, Migrations, RolloutSpec
from slipway.rollout.status import Colour

COLOUR: Final = "slipway.dev/colour"
REVISION: Final = "slipway.dev/revision"
ROLLOUT: Final = "slipway.dev/rollout"
ROLE: Final = "slipway.dev/role"
VERSION: Final = "app.kubernetes.io/version"
FENCE: Final = "slipway.dev/fence"
BALANCE: Final = "haproxy-ingress.github.io/blue-green-balance"
INITIAL: Final = "haproxy-ingress.github.io/initial-weight"
SELECTED: Final = ("app.kubernetes.io/name", "app.kubernetes.io/instance", ROLE, COLOUR)
"""Pod labels that select a colour's pods; they never change."""
USED: Final = "slipway.dev/used"
"""On a revision's PodTemplate: the rollout that used it last."""
WEB: Final = "web"
WORKER: Final = "worker"
DAY: Final = 86_400
_NO_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})

Manifest = dict[str, Any]


def dressed(pods: Mapping[str, Any], spec: RolloutSpec) -> Manifest:
    """Return a pod template with the wanted image and what it is called, in place of what the chart put there.

    The chart's own image and version are placeholders: a change of them alone is no new revision.
    """
    found = copy.deepcopy(dict(pods))
    containers = found["spec"]["containers"]
    chosen = next((entry for entry in containers if entry["name"] == spec.container), containers[0])
    before, version = chosen.get("image"), version_of(spec.image)
    found.setdefault("metadata", {}).setdefault("labels", {})[VERSION] = version
    for entry in [*containers, *found["spec"].get("initContainers", [])]:
        if entry is chosen or entry.get("image") == before:
            entry["image"] = spec.image
        for variable in entry.get("env", []):
            if variable["name"] == "SLIPWAY_VERSION":
                variable.pop("valueFrom", None)  # a variable has one source: the API server refuses two
                variable["value"] = version
    return found


def revision_hash(
    spec: RolloutSpec, templates: Iterable[Mapping[str, Any]], config: Iterable[Mapping[str, Any]]
) -> str:
    """Return the name of what is wanted: ten hex digits over image, pod templates, config contents and attempt."""
    content = {
        "image": spec.image,
        "attempt": spec.attempt,
        "templates": [dressed(found, spec) for found in templates],
        "config": [{key: found.get(key) for key in ("kind", "data", "binaryData")} for found in config],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def version_of(image: str) -> str:
    """Return what people call an image: the first twelve digits of its digest."""
    return image.rpartition("@sha256:")[2][:12]


def pinned_name(name: str, revision: str) -> str:
    """Return the name of a revision's own copy of an object."""
    return f"{name[: 62 - len(revision)]}-{revision}"


def owner(rollout: Mapping[str, str]) -> list[Manifest]:
    """Return the owner reference of everything that goes when the Rollout goes."""
    return [
        {
            "apiVersion": "slipway.dev/v1alpha1",
            "kind": "Rollout",
            "name": rollout["name"],
            "uid": rollout["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        },
    ]


def owned_by(template: Mapping[str, Any]) -> list[Manifest]:
    """Return the owner reference of what goes with a revision's PodTemplate, and before it."""
    metadata = template["metadata"]
    kind = {"apiVersion": "v1", "kind": "PodTemplate", "name": metadata["name"], "uid": metadata["uid"]}
    return [kind | {"controller": True, "blockOwnerDeletion": True}]


def pin_config(
    source: Mapping[str, Any], revision: str, rollout: Mapping[str, str], owners: list[Manifest]
) -> Manifest:
    """Return a revision's own, immutable copy of a ConfigMap or Secret."""
    copied: Manifest = {
        "apiVersion": "v1",
        "kind": source["kind"],
        "metadata": {
            "name": pinned_name(source["metadata"]["name"], revision),
            "namespace": rollout["namespace"],
            "labels": {ROLLOUT: rollout["name"], REVISION: revision},
            "ownerReferences": owners,
        },
        "immutable": True,
    }
    for key in ("data", "binaryData", "type"):
        if key in source:
            copied[key] = source[key]
    return copied


def pin_template(
    template: Mapping[str, Any], *, name: str, revision: str, spec: RolloutSpec, rollout: Mapping[str, str]
) -> Manifest:
    """Return a revision's own PodTemplate: its image put in, its config references turned to the copies."""
    pods = dressed(template["template"], spec)
    names = {(ref.kind, ref.name): pinned_name(ref.name, revision) for ref in spec.config}
    _turn(pods, names)
    labels = pods["metadata"]["labels"]
    labels |= {ROLLOUT: rollout["name"], REVISION: revision}
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {
            "name": pinned_name(name, revision),
            "namespace": rollout["namespace"],
            "labels": {ROLLOUT: rollout["name"], REVISION: revision},
            "ownerReferences": owner(rollout),
        },
        "template": pods,
    }


REFERENCES: Final = {
    "configMapRef": ConfigKind.CONFIG_MAP,
    "configMapKeyRef": ConfigKind.CONFIG_MAP,
    "configMap": ConfigKind.CONFIG_MAP,
    "secretRef": ConfigKind.SECRET,
    "secretKeyRef": ConfigKind.SECRET,
    "secret": ConfigKind.SECRET,
}
"""Fields of a pod that name a ConfigMap or Secret, wherever they stand."""


def _turn(node: Any, names: Mapping[tuple[ConfigKind, str], str]) -> None:
    if isinstance(node, list):
        for entry in node:
            _turn(entry, names)
    elif isinstance(node, dict):
        for key, value in node.items():
            kind = REFERENCES.get(key)
            if kind is not None and isinstance(value, dict):
                for field in ("name", "secretName"):
                    new = names.get((kind, value.get(field, "")))
                    if new is not None:
                        value[field] = new
            _turn(value, names)


def deployment(
    pinned: Mapping[str, Any],
    *,
    name: str,
    colour: Colour,
    role: str,
    replicas: int,
    rollout: Mapping[str, str],
    version: str = "",
) -> Manifest:
    """Return the Deployment of one colour, made of a revision's own PodTemplate.

    Never a pod less than asked for while its pods are replaced, and old ReplicaSets are not kept: the way back is the
    other colour.
    """
    pods = copy.deepcopy(dict(pinned["template"]))
    labels = pods["metadata"]["labels"]
    labels |= {COLOUR: colour.value, ROLE: role}
    for container in pods["spec"]["containers"]:
        environment = [found for found in container.get("env", []) if found["name"] != "SLIPWAY_COLOUR"]
        container["env"] = [*environment, {"name": "SLIPWAY_COLOUR", "value": colour.value}]
    if role == WORKER:
        switch.mount(pods["spec"], rollout["name"])
    metadata: Manifest = {
        "name": name,
        "namespace": rollout["namespace"],
        "labels": {key: labels[key] for key in (*SELECTED, ROLLOUT, REVISION) if key in labels},
        "ownerReferences": owner(rollout),
    }
    if version:
        metadata["resourceVersion"] = version
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {key: labels[key] for key in SELECTED if key in labels}},
            "template": pods,
        },
    }


def deployment_name(rollout: str, colour: Colour, role: str = WEB) -> str:
    """Return the name of a colour's Deployment: `payload-blue`, `payload-worker-blue`."""
    return f"{rollout}-{colour}" if role == WEB else f"{rollout}-{role}-{colour}"


def migrating_container(template: Mapping[str, Any], migrations: Migrations) -> Manifest:
    """Return the container of a PodTemplate whose environment and mounts migrations get.

    Raises:
        ValueError: the PodTemplate has none of the name that is asked for.
    """
    pod = template["template"]["spec"]
    own = pod["containers"][0]
    if migrations.container is None:
        return own
    there = {entry["name"]: entry for entry in [*pod["containers"], *pod.get("initContainers", [])]}
    if migrations.container not in there:
        raise ValueError(
            f"spec.migrations.container is {migrations.container}, but PodTemplate {template['metadata']['name']} has "
            f"only {', '.join(there)}: name one of them, or leave it out for {own['name']}"
        )
    return there[migrations.container]


def migration_job(pinned: Mapping[str, Any], action: RunJob, spec: RolloutSpec, rollout: Mapping[str, str]) -> Manifest:
    """Return the Job that runs the image's migration command, with the environment and mounts of a pod's container."""
    if spec.migrations is None:
        raise ValueError(f"{rollout['name']} has no spec.migrations: there is nothing to run for {action.kind}")
    pods = copy.deepcopy(dict(pinned["template"]))
    container = copy.deepcopy(migrating_container(pinned, spec.migrations))
    # Of an init container that runs beside the others, `restartPolicy` is for init containers alone.
    for key in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports", "args", "restartPolicy"):
        container.pop(key, None)
    container |= {"command": [*spec.migrations.command, action.kind, "--json"], "image": action.image}
    pods["spec"] |= {"containers": [container], "restartPolicy": "Never"}
    pods["spec"].pop("initContainers", None)
    return _job(pods["spec"], action, rollout, spec.migrations.timeout)


def check_job(check: JobCheck, action: RunJob, rollout: Mapping[str, str]) -> Manifest:
    """Return the Job of a preview check or a metric; it learns from its environment what it is to judge."""
    environment = {
        "SLIPWAY_ROLLOUT": rollout["name"],
        "SLIPWAY_NAMESPACE": rollout["namespace"],
        "SLIPWAY_COLOUR": action.colour.value,
        "SLIPWAY_REVISION": action.revision,
    }
    container: Manifest = {
        "name": "check",
        "image": check.image,
        "args": list(check.args),
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        # What it says last is the message of the rollout, when it does not pass.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    if check.config_map is not None:
        container["volumeMounts"].append({"name": "scripts", "mountPath": "/scripts", "readOnly": True})
        pod["volumes"].append({"name": "scripts", "configMap": {"name": check.config_map}})
    return _job(pod, action, rollout, check.timeout)


def _job(pod: Manifest, action: RunJob, rollout: Mapping[str, str], timeout: int) -> Manifest:
    labels = {ROLLOUT: rollout["name"], "slipway.dev/job": action.kind}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": action.name,
            "namespace": rollout["namespace"],
            "labels": labels,
            "ownerReferences": owner(rollout),
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, timeout),
            "ttlSecondsAfterFinished": DAY,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def job_view(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> JobView:
    """Return how a Job stands; the exit code is that of its pod's container, -1 when there is none to ask."""
    pods = tuple(pods)
    conditions = {found["type"]: found for found in job.get("status", {}).get("conditions", [])}
    ended = [conditions[kind] for kind in ("Complete", "Failed") if conditions.get(kind, {}).get("status") == "True"]
    if not ended:
        return JobView(None, next(filter(None, map(unpullable, pods)), ""))
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            state = container.get("state", {}).get("terminated")
            if state is not None:
                return JobView(state["exitCode"], state.get("message", "") or state.get("reason", ""))
    complete = conditions.get("Complete", {}).get("status") == "True"
    return JobView(0 if complete else -1, ended[0].get("message", ""))


def balance(blue: int, green: int) -> str:
    """Return the annotation that asks the ingress controller for these weights."""
    return f"{COLOUR}=blue={blue},{COLOUR}=green={green}"


def read_balance(text: str) -> tuple[int, int] | None:
    """Return (blue, green) of an annotation, or None when it does not say both."""
    found: dict[str, int] = {}
    for part in text.split(","):
        label, _, rest = part.strip().partition("=")
        value, _, weight = rest.partition("=")
        if label == COLOUR and weight.isdigit():
            found[value] = int(weight)
    return (found["blue"], found["green"]) if {"blue", "green"} <= set(found) else None


def annotation_of(service: Mapping[str, Any]) -> Annotation:
    """Return the weights a Service asks for, and which field manager put them there."""
    metadata = service["metadata"]
    annotations = metadata.get("annotations") or {}
    key = f"f:{BALANCE}"
    writers = [
        entry.get("manager", "")
        for entry in metadata.get("managedFields", [])
        if key in entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:annotations", {})
    ]
    ours = not writers or MANAGER in writers
    initial, fence = annotations.get(INITIAL, ""), annotations.get(FENCE, "")
    return Annotation(
        weights=read_balance(annotations.get(BALANCE, "")),
        initial=int(initial) if initial.isdigit() else 0,
        writer=MANAGER if ours else writers[0],
        ours=ours,
        fence=int(fence) if fence.isdigit() else 0,
        version=metadata["resourceVersion"],
    )


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod is Ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def is_crash_looping(pod: Mapping[str, Any]) -> bool:
    """Return whether the kubelet has restarted a container of this pod at least twice and waits to do so again."""
    return any(
        found.get("restartCount", 0) > 1
        and found.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        for found in pod.get("status", {}).get("containerStatuses", [])
    )


def unpullable(pod: Mapping[str, Any]) -> str:
    """Return which image of this pod the kubelet cannot pull, as a sentence; empty if there is none."""
    status = pod.get("status", {})
    for found in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        if found.get("state", {}).get("waiting", {}).get("reason") in _NO_IMAGE:
            return f"the image {found['image']} cannot be pulled; see `kubectl describe pod {pod['metadata']['name']}`"
    return ""


def restarts(pod: Mapping[str, Any]) -> int:
    """Return how often the containers of a pod were restarted, together."""
    return sum(found.get("restartCount", 0) for found in pod.get("status", {}).get("containerStatuses", []))
