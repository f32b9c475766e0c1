"""The `embedded` target: a cluster on this machine as one Pulumi resource, thin over `slipway.node`."""

from dataclasses import dataclass
from typing import Any, final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from slipway import node
from slipway.node.stock import Stock


@final
@dataclass(frozen=True)
class EmbeddedConfig:
    """Settings of an embedded cluster.

    Args:
        spec: what it is.
    """

    spec: node.ClusterSpec


class _Provider(ResourceProvider):
    """Create, compare and delete, by the cluster's name; the work is done by `slipway.node`."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        spec = node.ClusterSpec.from_dict(props["spec"])
        return CreateResult(id_=spec.name, outs=_make(spec))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        old = node.ClusterSpec.from_dict(_olds["spec"])
        new = node.ClusterSpec.from_dict(_news["spec"])
        replaces = ["spec"] if (old.name, _networks(old)) != (new.name, _networks(new)) or new.nodes < old.nodes else []
        # A cluster whose processes are gone (the machine was restarted) is a difference too: `up` starts it again. And
        # so is one whose certificates are near their end: `up` makes them anew.
        changes = (
            old != new or not node.healthy(new) or _olds.get("made") != node.fingerprint(new, Stock()) or node.aged(new)
        )
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_make(node.ClusterSpec.from_dict(_news["spec"])))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_=id_ if node.exists(id_) else None, outs=props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        node.destroy(_id, _say)


def _make(spec: node.ClusterSpec) -> dict[str, Any]:
    stock = Stock()
    access = node.create(spec, stock, _say)
    return {
        "made": node.fingerprint(spec, stock),
        "spec": spec.to_dict(),
        "kubeconfig": access.kubeconfig,
        "context": spec.name,
        "identifier": f"embedded/{spec.name}",
        "registry": access.registry,
        "registry_push": access.registry_push,
        "registry_certificates": str(access.registry_certificates),
        "address_range": access.load_balancer_range,
        "storage_class": access.storage_class,
    }


def _networks(spec: node.ClusterSpec) -> tuple[str, str, str]:
    return spec.network, spec.pod_network, spec.service_network


def _say(text: str) -> None:
    pulumi.log.info(text, ephemeral=True)


@final
class EmbeddedCluster(Resource, module="slipway", name="EmbeddedCluster"):
    """A cluster on this machine.

    Args:
        name: logical name.
        config: its settings.
        opts: Pulumi options.
    """

    kubeconfig: pulumi.Output[str]
    """Of the administrator; a secret."""
    context: pulumi.Output[str]
    identifier: pulumi.Output[str]
    registry: pulumi.Output[str]
    """host:port as nodes name it."""
    registry_push: pulumi.Output[str]
    """host:port reachable from this machine."""
    registry_certificates: pulumi.Output[str]
    """Folder on this machine with what pushing needs (ca.crt, client.cert, client.key)."""
    address_range: pulumi.Output[str]
    """Addresses for Services of type LoadBalancer, first-last."""
    storage_class: pulumi.Output[str]

    def __init__(self, name: str, config: EmbeddedConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = dict.fromkeys(
            (
                "kubeconfig",
                "context",
                "identifier",
                "registry",
                "registry_push",
                "registry_certificates",
                "address_range",
                "storage_class",
            )
        )
        secret = pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
        super().__init__(
            _Provider(),
            name,
            {"spec": config.spec.to_dict(), **outputs},
            pulumi.ResourceOptions.merge(secret, opts),
        )
