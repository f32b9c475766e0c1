"""What the proof kills on an embedded cluster, by the names of `slipway.proof.prove.scenarios.VICTIMS`."""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from infra import naming
from slipway.cli.live import INGRESS, service_labels
from slipway.node import supervise
from slipway.node.spec import ClusterSpec
from slipway.proof.faults import Fault, FaultError, KillContainer, KillProgram, Switch, Together
from slipway.proof.kube import Kube, KubeError, OnNode, Pod
from slipway.proof.surroundings import Place, all_pods
from slipway.rollout.status import Colour

_CONTROLLER: Final = Place(naming.Namespace.ROLLOUT.value, {"app.kubernetes.io/name": "slipway-rollout"}, "controller")
_PROMETHEUS: Final = Place(naming.Namespace.MONITORING.value, {"app.kubernetes.io/name": "prometheus"}, "prometheus")
_STARTS_WITHIN: Final = 60.0

Made = Callable[[Colour, Colour], Fault]
Kubectl = Callable[..., str]


def victims(kubectl: Kubectl, kube: Kube, on_node: OnNode, spec: ClusterSpec, environment: str) -> Mapping[str, Made]:
    """How each victim is killed; the pods are looked for at the moment of the kill."""

    def kill(place: Place) -> Fault:
        return KillContainer(on_node, _fresh(kube, place), place.container)

    def app(colour: Colour) -> Fault:
        return KillContainer(
            on_node, running(kube, Place(environment, service_labels(colour.value), "service")), "service"
        )

    def program(name: str) -> Fault:
        return KillProgram(on_node, _fresh(kube, INGRESS), INGRESS.container, name)

    return {
        "controller": lambda _old, _new: KillContainer(on_node, leader(kubectl, kube), _CONTROLLER.container),
        "controllers": lambda _old, _new: Together(
            tuple(KillContainer(on_node, pod, _CONTROLLER.container) for pod in _pods(kube, _CONTROLLER))
        ),
        "haproxy": lambda _old, _new: program("haproxy"),
        "ingress-controller": lambda _old, _new: kill(INGRESS),
        "prometheus": lambda _old, _new: kill(_PROMETHEUS),
        "app-old": lambda old, _new: app(old),
        "app-new": lambda _old, new: app(new),
        "apiserver": lambda _old, _new: Switch("kill -9 the API server", lambda: _kill_apiserver(spec), _nothing),
    }


def whole(kube: Kube) -> bool:
    """Whether every pod of what can be killed, besides the service's own, is ready."""
    try:
        return all(pod.ready for place in (INGRESS, _CONTROLLER, _PROMETHEUS) for pod in _pods(kube, place))
    except KubeError:
        return False


def _fresh(kube: Kube, place: Place) -> Pod:
    """The ready pod whose container was started least often: its kubelet starts it again soonest."""

    def starts(pod: Pod) -> int:
        return sum(one.restarts for one in pod.containers if one.name == place.container)

    return min(all_pods(kube, place), key=starts)


def leader(kubectl: Kubectl, kube: Kube) -> Pod:
    """The controller's pod that holds the Lease; its identity is the pod's name and eight more digits.

    Raises:
        FaultError: none holds it.
    """
    where = ("lease", "slipway-rollout", f"--namespace={_CONTROLLER.namespace}")
    holder = json.loads(kubectl("get", *where, "--output=json"))["spec"].get("holderIdentity") or ""
    for pod in _pods(kube, _CONTROLLER):
        if holder.startswith(f"{pod.name}-"):
            return pod
    raise FaultError(f"no controller leads: the Lease names {holder or 'nobody'}")


def running(kube: Kube, place: Place) -> Pod:
    """The first pod of a place whose container runs, waited for.

    Raises:
        FaultError: none ran in time.
    """
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline:
        for pod in _pods(kube, place):
            if any(one.name == place.container and one.identity for one in pod.containers):
                return pod
        time.sleep(0.2)
    raise FaultError(f"no pod of {dict(place.labels)} in {place.namespace} ran within {_STARTS_WITHIN:g} s")


def _pods(kube: Kube, place: Place) -> list[Pod]:
    return [pod for pod in kube.pods(place.namespace, place.labels) if not pod.leaving]


def _kill_apiserver(spec: ClusterSpec) -> None:
    os.kill(supervise.program_pid(spec, "kube-apiserver"), signal.SIGKILL)


def _nothing() -> None:
    """The supervisor starts it again, which is what is tested."""
