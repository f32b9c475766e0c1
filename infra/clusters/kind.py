"""The `kind` target: a cluster of containers on this machine, as one Pulumi resource over the program `kind`.

Source: https://kind.sigs.k8s.io/docs/user/configuration/. The node image is the one that kind 0.30 takes by itself.
"""

import ipaddress
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final

import pulumi
import yaml
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

NODE_IMAGE: Final = "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"
#: kind's own class for volumes, on a node's disk.
STORAGE_CLASS: Final = "standard"
IDENTIFIER_PREFIX: Final = "kind/"
PROGRAM: Final = "SLIPWAY_KIND"
_WAIT: Final = "5m"
_PATIENCE: Final = 900.0  # seconds: the node image may have to be pulled
_ADDRESSES: Final = 50
_KEPT_FREE: Final = 6  # addresses at the end of the network, the broadcast one among them


class KindError(pulumi.RunError):
    """kind or docker is missing or refuses; the message is its own, with what to do next."""


@final
@dataclass(frozen=True)
class KindSpec:
    """What a cluster is.

    Attributes:
        name: Its name; kind calls its context `kind-<name>`.
        workers: Nodes beside the control plane; without any, that one takes pods too.
        image: Of the nodes, by digest.
        address_range: Addresses for Services of type LoadBalancer; None takes the end of docker's network for kind.
        registry_auth: File with passwords of registries that nodes pull from (docker's `config.json`), or None.
    """

    name: str
    workers: int = 2
    image: str = NODE_IMAGE
    address_range: str | None = None
    registry_auth: str | None = None

    def to_config(self) -> str:
        """The configuration that `kind create cluster` reads."""
        mounts = [{"containerPath": "/var/lib/kubelet/config.json", "hostPath": self.registry_auth, "readOnly": True}]
        node = {"image": self.image, **({"extraMounts": mounts} if self.registry_auth else {})}
        roles = ["control-plane", *["worker"] * self.workers]
        document = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": role, **node} for role in roles],
        }
        # Copies instead of YAML's references: people read it in messages.
        return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)


def create(spec: KindSpec) -> dict[str, Any]:
    """Make a cluster; one that fails half-way is removed again.

    Returns:
        kubeconfig, context, identifier and address_range.

    Raises:
        KindError: There is one of this name that this stack has not made, or it cannot be made.
    """
    if spec.name in names():
        raise KindError(
            f"there is a cluster {spec.name!r} of kind already, and no stack knows it: take another name, or remove it "
            f"by `kind delete cluster --name {spec.name}`"
        )
    with TemporaryDirectory(prefix="slipway-kind-") as folder:
        # Its own kubeconfig: kind would write into that of the user.
        kubeconfig = Path(folder) / "kubeconfig"
        try:
            _kind(
                *("create", "cluster", "--name", spec.name, "--config", "-", "--wait", _WAIT),
                *("--kubeconfig", str(kubeconfig)),
                stdin=spec.to_config(),
            )
            return access(spec)
        except BaseException:
            delete(spec.name)
            raise


def access(spec: KindSpec) -> dict[str, Any]:
    """How a cluster that is there is reached."""
    return {
        "kubeconfig": _kind("get", "kubeconfig", "--name", spec.name),
        "context": f"kind-{spec.name}",
        "identifier": f"{IDENTIFIER_PREFIX}{spec.name}",
        "address_range": spec.address_range or free_addresses(_docker_network()),
    }


def delete(name: str) -> None:
    """Remove a cluster; it is no error if there is none."""
    with TemporaryDirectory(prefix="slipway-kind-") as folder:
        _kind("delete", "cluster", "--name", name, "--kubeconfig", str(Path(folder) / "kubeconfig"))


def names() -> list[str]:
    """The clusters of kind that are there."""
    return _kind("get", "clusters", "--quiet").split()


def free_addresses(networks: Sequence[Mapping[str, str]]) -> str:
    """The end of docker's network, `first-last`: docker gives containers addresses from its beginning.

    Args:
        networks: As docker describes them, each with `Subnet`.

    Raises:
        KindError: None of them is IPv4 and large enough.
    """
    for entry in networks:
        network = ipaddress.ip_network(entry.get("Subnet", "::/128"))
        if network.version == 4 and network.num_addresses >= 4 * _ADDRESSES:  # noqa: PLR2004  # most for containers
            last = network[-_KEPT_FREE]
            return f"{last - _ADDRESSES}-{last}"
    raise KindError(
        f"docker's network for kind has no IPv4 subnet of {4 * _ADDRESSES} addresses or more: "
        f"{json.dumps(list(networks))}; say by slipway-cluster:kind.addressRange which addresses are free"
    )


def _docker_network() -> list[dict[str, str]]:
    name = os.environ.get("KIND_EXPERIMENTAL_DOCKER_NETWORK") or "kind"
    return json.loads(_run("docker", "network", "inspect", name, "--format", "{{json .IPAM.Config}}"))


def _kind(*words: str, stdin: str | None = None) -> str:
    return _run(os.environ.get(PROGRAM) or "kind", *words, stdin=stdin)


def _run(*command: str, stdin: str | None = None) -> str:
    shown = " ".join(command)
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except FileNotFoundError:
        raise KindError(
            f"the program {command[0]!r} is not there: install kind 0.30 and docker, or name kind in ${PROGRAM}; "
            "without docker take the target embedded"
        ) from None
    except subprocess.TimeoutExpired:
        raise KindError(f"`{shown}` did not end within {_PATIENCE:g} s") from None
    if done.returncode != 0:
        raise KindError(f"`{shown}` failed with exit code {done.returncode}: {done.stderr.strip()[-1500:]}")
    return done.stdout


class _Provider(ResourceProvider):
    """Create, compare and delete, by the cluster's name."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        spec = KindSpec(**props["spec"])
        return CreateResult(id_=spec.name, outs={"spec": asdict(spec), **create(spec)})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        old, new = KindSpec(**_olds["spec"]), KindSpec(**_news["spec"])
        # kind changes nothing of a cluster that is there; what is not its own business is only handed over anew.
        gone = old.name not in names()
        other = (old.name, old.workers, old.image, old.registry_auth) != (
            new.name,
            new.workers,
            new.image,
            new.registry_auth,
        )
        replaces = ["spec"] if other or gone else []
        return DiffResult(changes=old != new or gone, replaces=replaces, delete_before_replace=True)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        spec = KindSpec(**_news["spec"])
        return UpdateResult(outs={"spec": asdict(spec), **access(spec)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_=id_ if id_ in names() else None, outs=props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        delete(_id)


@final
class KindCluster(Resource, module="slipway", name="KindCluster"):
    """A cluster of containers.

    Args:
        name: logical name.
        spec: what it is.
        opts: Pulumi options.
    """

    kubeconfig: pulumi.Output[str]
    """Of the administrator; a secret."""
    context: pulumi.Output[str]
    identifier: pulumi.Output[str]
    address_range: pulumi.Output[str]
    """Addresses for Services of type LoadBalancer, first-last."""

    def __init__(self, name: str, spec: KindSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(("kubeconfig", "context", "identifier", "address_range"))
        secret = pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
        super().__init__(
            _Provider(), name, {"spec": asdict(spec), **outputs}, pulumi.ResourceOptions.merge(secret, opts)
        )
