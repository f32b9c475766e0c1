"""Whether a running pod keeps docs/reference/service-contract.md: the pod to try, and the judgement. Pure."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from slipway.reports import Bar
from slipway.rollout.client import BY_DIGEST

#: Keeps the pod's last state readable after its deletion.
FINALIZER: Final = "slipway.dev/check-service"
LABEL: Final = "slipway.dev/check"
#: Seconds between a deletion and SIGTERM while a service is checked; the chart's own is longer.
PRE_STOP: Final = 3
GRACE: Final = 45
#: Seconds in which readiness may still say yes. SIGTERM is not seen from outside: it is taken to come `PRE_STOP` after
#: the deletion was accepted, and the kubelet begins to count up to a second later.
TURNS_WITHIN: Final = 2.0
_USER: Final = 10001
_MIGRATION_CODES: Final = {0: "nothing to do", 3: "pending", 4: "unsafe"}
_UNAVAILABLE: Final = 503
_OK: Final = 200
_SERVER_ERROR: Final = 500


@dataclass(frozen=True)
class Shape:
    """How a service without a chart is asked.

    Attributes:
        port: on which it answers HTTP.
        path: something that users ask for.
        live, ready: paths of the probes.
    """

    port: int = 8080
    path: str = "/"
    live: str = "/livez"
    ready: str = "/readyz"


@dataclass(frozen=True)
class Answer:
    """One answer: Unix time at which it came, and its status; 0 if there was none."""

    at: float
    status: int


@dataclass
class Seen:
    """What was seen of the pod.

    Attributes:
        refused: why the API server or the node did not take it; empty if it ran.
        ready_after: seconds until it was ready; None if it never was.
        page, live: statuses of an ordinary and a liveness request while it was ready.
        asked_to_stop: Unix time of SIGTERM; None if it did not get that far.
        readiness: answers of the readiness path from shortly before SIGTERM on.
        begun: status of a slow request that was in flight at SIGTERM; None if there was none to send.
        exit_code: of the container; None if it had to be killed or was never seen to end.
        ended_after: seconds from SIGTERM to its end.
        metrics: status and first bytes of `/metrics`; None if there is no such port.
        migration: exit code of `check --json`; None if there is no such command.
    """

    refused: str = ""
    ready_after: float | None = None
    page: int = 0
    live: int = 0
    asked_to_stop: float | None = None
    readiness: list[Answer] = field(default_factory=list[Answer])
    begun: int | None = None
    exit_code: int | None = None
    ended_after: float | None = None
    metrics: tuple[int, str] | None = None
    migration: int | None = None


def pod(name: str, image: str, template: Mapping[str, Any] | None, shape: Shape) -> dict[str, Any]:
    """The pod to try: the service's own template with another image, or the least that every service must run in.

    It carries no label that a Service selects, so no user ever reaches it.
    """
    spec = copy.deepcopy(dict(template["spec"])) if template is not None else _least(shape)
    spec["containers"][0]["image"] = image
    for container in spec.get("initContainers", []):
        container["image"] = image
    spec["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": PRE_STOP}}}
    spec |= {"terminationGracePeriodSeconds": GRACE, "restartPolicy": "Never", "topologySpreadConstraints": []}
    labels = {LABEL: name, "slipway.dev/colour": "blue", "app.kubernetes.io/version": "check"}
    metadata = {"name": name, "labels": labels, "finalizers": [FINALIZER]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def paths(spec: Mapping[str, Any], shape: Shape) -> Shape:
    """Port and paths as the pod's own probes name them."""
    container = spec["containers"][0]
    ports = {one.get("name", ""): int(one["containerPort"]) for one in container.get("ports", [])}
    return Shape(
        port=ports.get("http", shape.port),
        path=shape.path,
        live=container.get("livenessProbe", {}).get("httpGet", {}).get("path", shape.live),
        ready=container.get("readinessProbe", {}).get("httpGet", {}).get("path", shape.ready),
    )


def clauses(image: str, seen: Seen) -> tuple[Bar, ...]:
    """A bar for each clause, numbered as in docs/reference/service-contract.md; what was not tried says so."""
    if seen.ready_after is None:
        why = seen.refused or "it never became ready"
        return (_by_digest(image), Bar(what="1 runs without root, read only", measured=why, bar="ready", holds=False))
    return (
        _by_digest(image),
        Bar(what="1 runs without root, read only", measured=f"ready after {seen.ready_after:.1f} s", bar="ready",
            holds=True),
        Bar(what="2 answers on port http", measured=seen.page or "no answer", bar="a status below 500",
            holds=0 < seen.page < _SERVER_ERROR),
        _readiness(seen),
        _begun(seen),
        _end(seen),
        Bar.not_run("5 versions N and N-1 side by side", "no failed request", "a canary of the next version shows it"),
        Bar(what="6 liveness answers", measured=seen.live or "no answer", bar="200", holds=seen.live == _OK),
        Bar.not_run("6 liveness asks no dependency", "200 without them", "take a dependency away, as drills do"),
        *_optional(seen),
    )  # fmt: skip


def unanswered(bars: Sequence[Bar]) -> tuple[str, ...]:
    """The bars that may stay without an answer: what one pod alone cannot show."""
    return tuple(bar.what for bar in bars if bar.holds is None)


def _by_digest(image: str) -> Bar:
    holds = BY_DIGEST.fullmatch(image) is not None
    return Bar(what="1 named by digest", measured=image, bar="NAME@sha256:<64 digits>", holds=holds)


def _readiness(seen: Seen) -> Bar:
    what, wanted = "3 readiness fails from SIGTERM on", f"no 200 later than {TURNS_WITHIN:g} s after it"
    if seen.asked_to_stop is None:
        return Bar.not_run(what, wanted)
    after = [one for one in seen.readiness if one.at > seen.asked_to_stop + TURNS_WITHIN]
    late = [one for one in after if one.status == _OK]
    if late:
        text = f"200 still {late[-1].at - seen.asked_to_stop:.1f} s after it"
        return Bar(what=what, measured=text, bar=wanted, holds=False)
    unready = sum(one.status == _UNAVAILABLE for one in after)
    return Bar(what=what, measured=f"{unready} answers 503, then none", bar=wanted, holds=True)


def _begun(seen: Seen) -> Bar:
    what, wanted = "4 ends what it has begun", "a whole answer below 500"
    if seen.begun is None:
        return Bar.not_run(what, wanted, "name a path that takes a second or more: --slow-path")
    measured = seen.begun or "cut off"
    return Bar(what=what, measured=measured, bar=wanted, holds=0 < seen.begun < _SERVER_ERROR)


def _end(seen: Seen) -> Bar:
    what, wanted = "4 exits 0 after SIGTERM", f"0 within {GRACE - PRE_STOP} s"
    if seen.asked_to_stop is None:
        return Bar.not_run(what, wanted)
    if seen.exit_code is None:
        return Bar(what=what, measured="had to be killed", bar=wanted, holds=False)
    took = f" after {seen.ended_after:.1f} s" if seen.ended_after is not None else ""
    return Bar(what=what, measured=f"{seen.exit_code}{took}", bar=wanted, holds=seen.exit_code == 0)


def _optional(seen: Seen) -> tuple[Bar, ...]:
    found: list[Bar] = []
    if seen.metrics is not None:
        status, text = seen.metrics
        good = status == _OK and ("# HELP" in text or "# TYPE" in text)
        said = f"{status}, {'Prometheus text' if good else 'something else'}"
        found.append(Bar(what="optional: /metrics", measured=said, bar="200, Prometheus text", holds=good))
    if seen.migration is not None:
        said = _MIGRATION_CODES.get(seen.migration, "not one of them")
        found.append(
            Bar(what="optional: migration command, check", measured=f"{seen.migration} ({said})", bar="0, 3 or 4",
                holds=seen.migration in _MIGRATION_CODES)
        )  # fmt: skip
    return tuple(found)


def _least(shape: Shape) -> dict[str, Any]:
    def probe(path: str, failures: int) -> dict[str, Any]:
        get = {"path": path, "port": "http"}
        return {"httpGet": get, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": failures}

    container = {
        "name": "service",
        "image": "",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": shape.port}],
        "startupProbe": probe(shape.live, 60),
        "livenessProbe": probe(shape.live, 3),
        "readinessProbe": probe(shape.ready, 2),
        "env": [{"name": "SLIPWAY_COLOUR", "value": "blue"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- a folder of the pod, empty at its start
    }
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
