"""One more pod of the version that serves, with a small CPU limit, and a host of its own through the ingress.

Its Service and Ingress tell HAProxy what those of the living service do, so that what is measured is the way that users
take. No Service of the platform selects the pod; all of it is removed at the end.
"""

import ipaddress
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from infra import naming, tls
from loadtests.k6 import LoadResult
from loadtests.plan import LoadPlan
from loadtests.verdict import ExitClass
from slipway.cli.stage import reloads
from slipway.node import cgroups
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl
from slipway.node.spec import FIRST_LOAD_BALANCER_HOST, ClusterSpec
from slipway.proof.clock import Clock, wait_until
from slipway.proof.ingress_bench import Stand
from slipway.proof.ingress_rounds import Route
from slipway.rollout import objects

NAME: Final = "bench-ingress"
#: Cores. Small, so that everything else on the way has plenty beside it.
CPU_LIMIT: Final = 0.25
#: What is read: an answer of the process alone, so that no database stands in the way, and the way weighs most.
PATH: Final = "/livez"
#: What HAProxy is told about a backend; the live Service holds the original.
OURS: Final = "haproxy-ingress.github.io/"
CONFIG: Final = f"{OURS}config-backend"
_LABELS: Final = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "slipway"}
#: Of the two versions that share a backend; here there is one.
_WEIGHTS: Final = {objects.BALANCE, objects.INITIAL, f"{OURS}blue-green-mode"}
#: Cores, where latency is measured: more than an even run needs, so that no pause of a limit is in it.
UNLIMITED: Final = 2.0
_DAYS: Final = 2
_READY_SECONDS: Final = 300
_LOADED_SECONDS: Final = 60.0
_RESIZED_SECONDS: Final = 60.0
#: Of all weights the greatest, so that HAProxy asks the dead endpoint as often as it can.
_DEAD: Final = "server dead {address}:9 weight 256\n"


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves now, as the API server has it."""

    pod: Mapping[str, Any]
    service: Mapping[str, Any]
    ingress: Mapping[str, Any]


def serving(kubectl: Kubectl, namespace: str) -> Serving:
    """The version that serves.

    Raises:
        NodeError: none does.
    """
    where = f"--namespace={namespace}"
    stable = kubectl.get("rollout", naming.SERVICE, where)[0].get("status", {}).get("stable")
    if not stable:
        raise NodeError(f"no version of {naming.SERVICE} in {namespace} serves yet; see `slipway rollout status`")
    template = objects.pinned_name(naming.SERVICE, stable["hash"])
    return Serving(
        kubectl.get("podtemplate", template, where)[0]["template"]["spec"],
        kubectl.get("service", naming.SERVICE, where)[0],
        kubectl.get("ingress", naming.SERVICE, where)[0],
    )


def manifests(found: Serving, *, namespace: str, host: str, pair: tls.KeyPair) -> list[dict[str, Any]]:
    """Everything that is made, in the order of making.

    Args:
        found: what serves.
        namespace: where it serves.
        host: of the bench.
        pair: certificate of that host.
    """

    def named(api: str, kind: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
        metadata = {"name": NAME, "namespace": namespace, "labels": _LABELS, "annotations": dict(annotations or {})}
        return {"apiVersion": api, "kind": kind, "metadata": metadata}

    # A version is told its colour by that label; this one has none, which is a word too.
    template = {"metadata": {"labels": {**_LABELS, objects.COLOUR: "none"}}, "spec": pod(found.pod)}
    backend = {"service": {"name": NAME, "port": {"name": "http"}}}
    return [
        {
            **named("v1", "Secret"),
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": pair.certificate, "tls.key": pair.private_key},
        },
        {
            **named("apps/v1", "Deployment"),
            "spec": {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template},
        },
        {
            **named("v1", "Service", told(found.service)),
            "spec": {"selector": _LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        },
        {
            **named("networking.k8s.io/v1", "Ingress", told(found.ingress)),
            "spec": {
                "ingressClassName": found.ingress["spec"]["ingressClassName"],
                "tls": [{"hosts": [host], "secretName": NAME}],
                "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
            },
        },
    ]


def pod(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The pod of the version that serves, with less CPU, and spread by no label: it has none of the service's."""
    first, *others = spec["containers"]
    limits = {**first["resources"]["limits"], "cpu": _cores(CPU_LIMIT)}
    small = {**first, "resources": {**first["resources"], "limits": limits}}
    kept = {key: value for key, value in spec.items() if key != "topologySpreadConstraints"}
    return {**kept, "containers": [small, *others]}


def _cores(count: float) -> str:
    """As Kubernetes writes it back: whole cores without a unit."""
    return str(round(count)) if count.is_integer() else f"{round(count * 1000)}m"


def told(holder: Mapping[str, Any]) -> dict[str, str]:
    """What HAProxy is told by an object's annotations, but for weights."""
    annotations: Mapping[str, str] = holder["metadata"].get("annotations", {})
    return {key: value for key, value in annotations.items() if key.startswith(OURS) and key not in _WEIGHTS}


def dead_endpoint(service: Mapping[str, Any], spec: ClusterSpec) -> str:
    """What the bench's backend is told for the control: as before, and one server at an address that nobody has."""
    network = ipaddress.ip_network(spec.network)
    return told(service)[CONFIG] + _DEAD.format(address=network[FIRST_LOAD_BALANCER_HOST - 1])


@contextmanager
def stand(
    kubectl: Kubectl,
    spec: ClusterSpec,
    live: LoadPlan,
    *,
    namespace: str,
    clock: Clock,
    run: Callable[[LoadPlan], LoadResult],
) -> Generator[Stand]:
    """Make it, and remove it.

    Args:
        kubectl: as the administrator.
        spec: the cluster.
        live: a plan against the live service: where the ingress is.
        namespace: where it serves.
        clock: waits.
        run: runs k6 to its end.

    Raises:
        NodeError: it did not come up.
        TookTooLongError: the ingress did not take it over.
    """
    host, found, where = f"bench.{live.host}", serving(kubectl, namespace), f"--namespace={namespace}"
    now = datetime.now(UTC)
    authority = tls.authority("Slipway bench", days=_DAYS, now=now)
    ca = live.workdir / f"{NAME}-ca.pem"
    ca.write_text(authority.certificate)
    made = manifests(found, namespace=namespace, host=host, pair=tls.server([host], authority, days=_DAYS, now=now))
    try:
        with _loaded_anew(kubectl, clock):
            kubectl.apply(made)
        ready = ("rollout", "status", f"deployment/{NAME}", where, f"--timeout={_READY_SECONDS}s")
        kubectl(*ready, timeout=_READY_SECONDS + 10)
        [it] = kubectl.get("pods", where, f"--selector=app.kubernetes.io/name={NAME}")
        port = next(one["containerPort"] for one in found.pod["containers"][0]["ports"] if one["name"] == "http")
        # From the control plane both are a step away: a pod behind its node, the ingress at its address.
        common = replace(live, scenario="page", path=PATH, netns=spec.control_plane.netns, secrets={}, min_requests=1)
        direct = replace(common, base_url=f"http://{it['status']['podIP']}:{port}", host=None, ca=None, address=None)
        ingress = replace(common, base_url=f"https://{host}", host=host, ca=ca)
        _answers(ingress, run, clock)

        def harm() -> None:
            with _loaded_anew(kubectl, clock):
                kubectl(
                    "annotate", "service", NAME, where, "--overwrite", f"{CONFIG}={dead_endpoint(found.service, spec)}"
                )

        yield Stand(
            plans={Route.DIRECT: direct, Route.INGRESS: ingress},
            cpu_limit=CPU_LIMIT,
            cpu_used=lambda: cgroups.cpu_seconds(
                spec.node(it["spec"]["nodeName"]).cgroup, f"pod{it['metadata']['uid']}"
            ),
            unlimited=lambda: _unlimited(kubectl, namespace, it["metadata"]["name"], clock),
            harm=harm,
        )
    finally:
        kinds = ",".join(one["kind"].lower() for one in made)
        kubectl("delete", kinds, where, f"--selector=app.kubernetes.io/name={NAME}", "--ignore-not-found", timeout=120)
        ca.unlink()


@contextmanager
def _unlimited(kubectl: Kubectl, namespace: str, name: str, clock: Clock) -> Generator[None]:
    _resize(kubectl, namespace, name, UNLIMITED, clock)
    yield
    _resize(kubectl, namespace, name, CPU_LIMIT, clock)


def _resize(kubectl: Kubectl, namespace: str, name: str, cores: float, clock: Clock) -> None:
    """Change the CPU limit of the running pod; its process goes on.

    Raises:
        NodeError: it may not be changed.
        TookTooLongError: the kubelet did not do it.
    """
    where, cpu = f"--namespace={namespace}", _cores(cores)
    container = kubectl.get("pod", name, where)[0]["spec"]["containers"][0]["name"]
    change = {"spec": {"containers": [{"name": container, "resources": {"limits": {"cpu": cpu}}}]}}
    kubectl("patch", "pod", name, where, "--subresource=resize", f"--patch={json.dumps(change)}")

    def done() -> bool:
        found = kubectl.get("pod", name, where)[0]["status"]["containerStatuses"]
        [has] = [it.get("resources", {}) for it in found if it["name"] == container]
        return has.get("limits", {}).get("cpu") == cpu

    wait_until(clock, done, what=f"the CPU limit of {name} to be {cpu}", within=_RESIZED_SECONDS, every=0.5)


@contextmanager
def _loaded_anew(kubectl: Kubectl, clock: Clock) -> Generator[None]:
    """Leave when every HAProxy has loaded what was changed in the block."""
    before = reloads(kubectl)
    yield

    def loaded() -> bool:
        now = reloads(kubectl)
        return all(now.get(name, 0) > count for name, count in before.items())

    wait_until(clock, loaded, what="every HAProxy to load the bench's backend", within=_LOADED_SECONDS, every=1.0)


def _answers(plan: LoadPlan, run: Callable[[LoadPlan], LoadResult], clock: Clock) -> None:
    def answers() -> bool:
        return run(replace(plan, rate=20, duration=2)).exit_class is ExitClass.PASS

    wait_until(clock, answers, what=f"an answer of {plan.host}", within=_LOADED_SECONDS)
