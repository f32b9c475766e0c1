"""Rules that one manifest with a pod template decides alone: what a pod may do and must say."""

import re
from collections.abc import Callable, Iterator, Sequence

from infra.policy.model import (
    Finding,
    Manifest,
    Rule,
    Scope,
    Workload,
    entries,
    finding,
    of_kind,
    section,
    workloads,
)

# On the pod template, with the reason as its value: this workload talks to the Kubernetes API.
NEEDS_API_ANNOTATION = "slipway.dev/needs-api"

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_TAG = re.compile(r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$")
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|CREDENTIALS?|DSN",
    re.IGNORECASE,
)
# A variable may say where a secret is or what it is called, only not what it is.
_REFERS_TO_SECRET = re.compile(r"_(FILE|PATH|DIR|NAME|HEADER|TTL|SECONDS)$", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def _each_workload(
    check: Callable[[Workload], Iterator[str]],
) -> Callable[[Sequence[Manifest]], Iterator[Finding]]:
    """Lifts a check of one workload, which gives details, to a check of a set."""

    def over(manifests: Sequence[Manifest]) -> Iterator[Finding]:
        for workload in workloads(manifests):
            for detail in check(workload):
                yield workload.finding(detail)

    return over


def _non_root(workload: Workload) -> Iterator[str]:
    pod = section(workload.spec, "securityContext")
    for container in workload.all_containers:
        own = section(container, "securityContext")
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"container {container.get('name')} may run as root (runAsNonRoot is not true)"
        elif own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"container {container.get('name')} sets runAsUser 0"


def _read_only_root(workload: Workload) -> Iterator[str]:
    for container in workload.all_containers:
        if section(container, "securityContext").get("readOnlyRootFilesystem") is not True:
            yield f"container {container.get('name')} may write to its root file system"


def _restricted(workload: Workload) -> Iterator[str]:
    pod = section(workload.spec, "securityContext")
    for container in workload.all_containers:
        name, own = container.get("name"), section(container, "securityContext")
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"container {name} may gain privileges (allowPrivilegeEscalation is not false)"
        if "ALL" not in (section(own, "capabilities").get("drop") or ()):
            yield f"container {name} does not drop ALL capabilities"
        added = set(section(own, "capabilities").get("add") or ()) - {"NET_BIND_SERVICE"}
        if added:
            yield f"container {name} adds the capabilities {', '.join(sorted(added))}"
        profile = section(own, "seccompProfile") or section(pod, "seccompProfile")
        if profile.get("type") not in {"RuntimeDefault", "Localhost"}:
            yield f"container {name} has no seccomp profile"


def _no_host_access(workload: Workload) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if workload.spec.get(field):
            yield f"{field} is on"
    for volume in entries(workload.spec, "volumes"):
        if "hostPath" in volume:
            yield f"volume {volume.get('name')} is the host's {section(volume, 'hostPath').get('path')}"
    for container in workload.all_containers:
        if section(container, "securityContext").get("privileged"):
            yield f"container {container.get('name')} is privileged"
        for port in entries(container, "ports"):
            if port.get("hostPort"):
                yield f"container {container.get('name')} takes the host's port {port['hostPort']}"


def _resources(workload: Workload) -> Iterator[str]:
    for container in workload.all_containers:
        for part, wanted in (("requests", ("cpu", "memory")), ("limits", ("memory",))):
            given = section(container, "resources", part)
            missing = [what for what in wanted if given.get(what) in {None, ""}]
            if missing:
                yield f"container {container.get('name')} has no {part} for {' and '.join(missing)}"


def _probes(workload: Workload) -> Iterator[str]:
    if not workload.lasting:
        return
    for container in workload.containers:
        for probe in ("readinessProbe", "livenessProbe"):
            if not section(container, probe):
                yield f"container {container.get('name')} has no {probe}"


def _pinned(workload: Workload) -> Iterator[str]:
    for container in workload.all_containers:
        image = str(container.get("image", ""))
        if _DIGEST.search(image):
            continue
        tag = _TAG.search(image)
        if tag is None or tag["tag"] == "latest":
            yield f"container {container.get('name')} uses the image {image!r}, which is not one fixed image"


def _no_token(workload: Workload) -> Iterator[str]:
    declared = section(workload.template, "metadata", "annotations").get(NEEDS_API_ANNOTATION)
    if workload.spec.get("automountServiceAccountToken") is not False and not declared:
        yield "gets a token of the Kubernetes API without saying what for"


def _secret_in_text(name: str, value: object) -> str | None:
    """Returns what is wrong with a plain variable, or None."""
    text = str(value or "")
    if _PASSWORD_IN_URL.search(text):
        return f"{name} holds a URL with a password"
    if text and _SECRET_NAME.search(name) and not _REFERS_TO_SECRET.search(name):
        return f"{name} holds a secret in plain text"
    return None


def _secrets_of_container(container: Manifest) -> Iterator[str]:
    for source in entries(container, "envFrom"):
        if "secretRef" in source:
            name = section(source, "secretRef").get("name")
            yield f"container {container.get('name')} takes all of Secret {name} into env"
    for variable in entries(container, "env"):
        name = str(variable.get("name"))
        if "secretKeyRef" in section(variable, "valueFrom"):
            yield f"container {container.get('name')} takes {name} from a Secret into env"
        elif wrong := _secret_in_text(name, variable.get("value")):
            yield f"container {container.get('name')}: {wrong}"


def _no_secret_in_env(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    for workload in workloads(manifests):
        for container in workload.all_containers:
            for detail in _secrets_of_container(container):
                yield workload.finding(detail)
    for config in of_kind(manifests, "ConfigMap"):
        for name, value in section(config, "data").items():
            # A file in a ConfigMap (its key has a dot) is judged by the tool that reads it, not by its name.
            if "." not in name and (wrong := _secret_in_text(name, value)):
                yield finding(config, wrong)


POD_RULES: tuple[Rule, ...] = (
    Rule(
        id="non-root",
        scope=Scope.OBJECT,
        why="Root in a container is root on the node as soon as one barrier fails.",
        mend="Set securityContext.runAsNonRoot: true and a runAsUser other than 0.",
        check=_each_workload(_non_root),
    ),
    Rule(
        id="read-only-root",
        scope=Scope.OBJECT,
        why="What cannot be written cannot be replaced by an attacker, and pods stay as their image is.",
        mend="Set readOnlyRootFilesystem: true and mount an emptyDir where the program must write.",
        check=_each_workload(_read_only_root),
    ),
    Rule(
        id="restricted",
        scope=Scope.OBJECT,
        why="It is what the Pod Security level `restricted` asks; anything above it must be a decision.",
        mend="Set allowPrivilegeEscalation: false, capabilities.drop: [ALL] and seccompProfile RuntimeDefault.",
        check=_each_workload(_restricted),
    ),
    Rule(
        id="no-host-access",
        scope=Scope.OBJECT,
        why="A pod in the host's namespaces or files is not contained, and network policies do not reach it.",
        mend="Use the pod's own network, a Service, and volumes of the cluster.",
        check=_each_workload(_no_host_access),
    ),
    Rule(
        id="requests-and-limits",
        scope=Scope.OBJECT,
        why="Without requests the scheduler guesses; without a memory limit one pod takes its neighbours down. "
        "A cpu limit is left to choice: it throttles a pod even while its node is idle.",
        mend="Set resources.requests.cpu, resources.requests.memory and resources.limits.memory.",
        check=_each_workload(_resources),
    ),
    Rule(
        id="probes",
        scope=Scope.OBJECT,
        why="Without readiness, requests go to a pod that cannot serve; without liveness, a hung one stays for ever.",
        mend="Give each container of a lasting workload a readinessProbe and a livenessProbe.",
        check=_each_workload(_probes),
    ),
    Rule(
        id="image-pinned",
        scope=Scope.OBJECT,
        why="The tag latest, or none, is another image tomorrow: nothing can be rolled back to it or proven about it.",
        mend="Name the image by digest (name@sha256:...) or with a tag that stays.",
        check=_each_workload(_pinned),
    ),
    Rule(
        id="no-service-account-token",
        scope=Scope.OBJECT,
        why="Most pods never talk to the Kubernetes API; a token that lies there is only good for an intruder.",
        mend="Set automountServiceAccountToken: false in the pod's spec, or say what the token is for in the pod "
        f"template's annotation {NEEDS_API_ANNOTATION}.",
        check=_each_workload(_no_token),
    ),
    Rule(
        id="no-secret-in-env",
        scope=Scope.OBJECT,
        why="Environment variables show up in crash reports, process lists and child processes.",
        mend="Mount the Secret as a file and give the variable the file's path (NAME_FILE).",
        check=_no_secret_in_env,
    ),
)
