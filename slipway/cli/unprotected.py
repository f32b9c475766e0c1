"""What keeps requests from failing, turned off for the negative controls of drills, and on again.

Live objects are patched, and given back what they had: the values are then those that Pulumi wrote, so a preview after
a drill finds nothing to change.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from infra import naming
from slipway.proof.faults import Switch

CONFIG_BACKEND: Final = "haproxy-ingress.github.io/config-backend"
NO_RETRIES: Final = "retries 0\nno option redispatch\n"
ROLLOUT_SECONDS: Final = 300
#: How a HAProxy waits before it goes, and lets its connections finish (infra/components/ingress.py).
INGRESS_WAITS: Final = ("--wait-before-shutdown=", "--haproxy-grace-period=")

Kubectl: TypeAlias = Callable[..., str]


def service(kubectl: Kubectl, namespace: str, colour: str) -> Switch:
    """Ingress retries and preStop of the service's pods.

    The rollout controller knows a Deployment by the revision on its labels and never takes pods that serve for the sake
    of their template, so it leaves the patch alone, and the next revision is whole.
    """
    service = ("service", naming.SERVICE, f"--namespace={namespace}")
    deployment = f"{naming.SERVICE}-{colour}"
    saved: dict[str, Any] = {}

    def replace_pods(lifecycle: Mapping[str, Any] | None) -> None:
        _replace_pods(kubectl, namespace, deployment, "lifecycle", lifecycle or {})

    def off() -> None:
        annotations = json.loads(kubectl("get", *service, "--output=json"))["metadata"]["annotations"]
        saved.update(
            backend=annotations[CONFIG_BACKEND], lifecycle=_container(kubectl, namespace, deployment).get("lifecycle")
        )
        kubectl("annotate", *service, "--overwrite", f"{CONFIG_BACKEND}={NO_RETRIES}")
        replace_pods(None)

    def on() -> None:
        if saved:
            kubectl("annotate", *service, "--overwrite", f"{CONFIG_BACKEND}={saved['backend']}")
            replace_pods(saved["lifecycle"])

    return Switch("ingress retries and preStop off", off, on)


def ingress(kubectl: Kubectl) -> Switch:
    """HAProxy's wait before it stops, and its grace for connections."""
    namespace = naming.Namespace.INGRESS.value
    saved: list[str] = []

    def replace_pods(arguments: list[str]) -> None:
        _replace_pods(kubectl, namespace, naming.INGRESS, "args", arguments)

    def off() -> None:
        saved[:] = _container(kubectl, namespace, naming.INGRESS)["args"]
        replace_pods([without_wait(argument) for argument in saved])

    def on() -> None:
        if saved:
            replace_pods(saved)

    return Switch("HAProxy's wait before shutdown off", off, on)


def without_wait(argument: str) -> str:
    """An argument of HAProxy's controller, its wait, if it is one, set to none."""
    return next((f"{name}0s" for name in INGRESS_WAITS if argument.startswith(name)), argument)


def _container(kubectl: Kubectl, namespace: str, deployment: str) -> dict[str, Any]:
    found = json.loads(kubectl("get", "deployment", deployment, f"--namespace={namespace}", "--output=json"))
    return found["spec"]["template"]["spec"]["containers"][0]


def _replace_pods(kubectl: Kubectl, namespace: str, deployment: str, field: str, value: object) -> None:
    where = ("deployment", deployment, f"--namespace={namespace}")
    patch = [{"op": "add", "path": f"/spec/template/spec/containers/0/{field}", "value": value}]
    kubectl("patch", *where, "--type=json", f"--patch={json.dumps(patch)}")
    kubectl("rollout", "status", *where, f"--timeout={ROLLOUT_SECONDS}s")
