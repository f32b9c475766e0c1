"""A living cluster as drills see it: the surroundings that `slipway.proof` works on."""

import json
import subprocess
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final, final

from infra import naming
from infra.components.poolers import POOLER_CONTAINER
from infra.components.postgres_operator import OPERATOR_CONTAINER, OPERATOR_PODS
from infra.labels import POOLER_PODS, POSTGRES_PODS
from infra.naming import Environment
from loadtests.plan import LoadPlan
from slipway.cli import unprotected
from slipway.cli.shown import IngressCertificate
from slipway.cli.small_log import SmallLog
from slipway.cli.stores import PostgresStore, RedisStore, ServiceMessages
from slipway.cli.unprotected import ROLLOUT_SECONDS
from slipway.node import network, nodes, supervise
from slipway.node.cluster import create, kill, load
from slipway.node.errors import NodeError
from slipway.node.kube import Kubectl as NodeKubectl
from slipway.node.spec import ClusterSpec
from slipway.node.supplies import Supplies
from slipway.proof.clock import SystemClock
from slipway.proof.kube import Kubectl
from slipway.proof.surroundings import Place, Surroundings, present
from slipway.proof.users import Users, Way

RUN_SECONDS: Final = 60
#: HAProxy and its controller, which are one container.
INGRESS: Final = Place(naming.Namespace.INGRESS.value, {"app.kubernetes.io/name": naming.INGRESS}, "haproxy-ingress")
#: What else is looked at, as far as a platform has it.
OTHERS: Final = MappingProxyType(
    {
        "postgres": Place(naming.Namespace.DATA.value, POSTGRES_PODS, "postgres"),
        "postgres-pooler": Place(naming.Namespace.DATA.value, POOLER_PODS, POOLER_CONTAINER),
        "redis": Place(naming.Namespace.DATA.value, {"app.kubernetes.io/name": naming.REDIS}, "redis"),
        "postgres-operator": Place(naming.Namespace.POSTGRES_OPERATOR.value, OPERATOR_PODS, OPERATOR_CONTAINER),
    }
)


@final
class EmbeddedNodes:
    """The nodes of an embedded cluster, by `slipway.node`."""

    def __init__(self, spec: ClusterSpec, supplies: Supplies) -> None:
        self._spec = spec
        self._supplies = supplies

    def stop(self, name: str) -> None:
        """Pull a node's plug."""
        nodes.stop(self._spec, name)

    def start(self, name: str) -> None:
        """Switch it on and wait until it is Ready."""
        nodes.start(self._spec, name, self._supplies, lambda _text: None)

    def cut_off(self, name: str) -> None:
        """Unplug its cable; what runs on it runs on."""
        network.set_link(self._spec.node(name), up=False)

    def join(self, name: str) -> None:
        """Plug the cable in again."""
        network.set_link(self._spec.node(name), up=True)

    def remove(self, name: str) -> None:
        """Take a stopped node away with its disk."""
        nodes.remove(self._spec, name, self._supplies)

    def stop_control_plane(self) -> None:
        """Stop API server, etcd, controllers, scheduler and registry."""
        supervise.stop_machine(self._spec, self._spec.control_plane.name)

    def start_control_plane(self) -> None:
        """Start them."""
        supervise.start_machine(self._spec, self._spec.control_plane.name)

    def stop_all(self) -> None:
        """Kill every process of the cluster."""
        kill(self._spec)

    def start_all(self) -> None:
        """Start it as `slipway up` does, and wait until its nodes are Ready.

        With everything on its nodes starting at once a small machine may take longer than a new cluster, which has
        nothing on them: the same is run once more then, as the message asks for.
        """
        try:
            create(self._spec, self._supplies, lambda _text: None)
        except NodeError:
            create(self._spec, self._supplies, lambda _text: None)


def surroundings(
    cluster: str, environment: Environment, plan: LoadPlan, supplies: Supplies, renew: Callable[[], object]
) -> Surroundings:
    """Everything a drill needs on an embedded cluster.

    Args:
        cluster: its name.
        environment: whose service.
        plan: the load, with its credentials.
        supplies: where kubectl comes from.
        renew: makes every certificate of the platform anew.

    Raises:
        NodeError: there is no such cluster on this machine.
    """
    spec = load(cluster)
    token = plan.secrets["SLIPWAY_TOKEN"]

    def kubectl(*words: str) -> str:
        return run_kubectl(spec, supplies, *words)

    administrator = NodeKubectl(supplies.binary("kubectl"), spec.home / "admin.kubeconfig")
    kube = Kubectl(supplies.binary("kubectl"), spec.home / "admin.kubeconfig")
    others = present(kube, OTHERS)
    postgres = PostgresStore(administrator) if "postgres" in others else None
    colour = stable_colour(kubectl, environment.value)
    way = Way(base_url=plan.base_url, host=plan.host, ca=plan.ca, address=plan.address, token=token)
    return Surroundings(
        kube=kube,
        on_node=on_node(spec),
        nodes=EmbeddedNodes(spec, supplies),
        app=Place(environment.value, service_labels(colour), "service"),
        ingress=INGRESS,
        plan=plan,
        connect=lambda: Users(way),
        without_protection=unprotected.service(kubectl, environment.value, colour),
        without_ingress_drain=unprotected.ingress(kubectl),
        others=others,
        namespaces=[it.value for it in naming.Namespace],
        redis=RedisStore(administrator) if "redis" in others else None,
        postgres=postgres,
        log_volume=SmallLog(administrator, postgres, spec, SystemClock()) if postgres else None,
        certificate=IngressCertificate(administrator, plan.address or "", plan.host or "", renew),
        messages=ServiceMessages(postgres, environment) if postgres else None,
    )


def stable_colour(kubectl: Callable[..., str], namespace: str) -> str:
    """The colour that serves: each promotion changes it.

    Raises:
        NodeError: no version of the service has been promoted yet.
    """
    rollout = json.loads(kubectl("get", "rollout", naming.SERVICE, f"--namespace={namespace}", "--output=json"))
    stable = rollout.get("status", {}).get("stable")
    if not stable:
        raise NodeError(f"no version of {naming.SERVICE} in {namespace} serves yet; see `slipway rollout status`")
    return stable["colour"]


def service_labels(colour: str) -> dict[str, str]:
    """The labels of the service's pods of one colour."""
    return {"app.kubernetes.io/name": naming.SERVICE, "slipway.dev/colour": colour, "slipway.dev/role": "web"}


def run_kubectl(spec: ClusterSpec, supplies: Supplies, *words: str) -> str:
    """Kubectl as the administrator, patient enough for a rollout."""
    program = [str(supplies.binary("kubectl")), f"--kubeconfig={spec.home / 'admin.kubeconfig'}", *words]
    return on_machine(program, seconds=ROLLOUT_SECONDS + RUN_SECONDS)


def on_node(spec: ClusterSpec) -> Callable[[str, Sequence[str]], str]:
    """Runs programs on a node: nodes share this machine's processes, so it is enough to know the node."""

    def run(name: str, arguments: Sequence[str]) -> str:
        spec.node(name)
        return on_machine(arguments)

    return run


def on_machine(arguments: Sequence[str], seconds: float = RUN_SECONDS) -> str:
    """Runs a program on this machine.

    Raises:
        NodeError: it failed.
    """
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise NodeError(f"`{' '.join(arguments)[:200]}` failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout
