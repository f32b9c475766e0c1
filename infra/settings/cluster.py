"""Settings of the project `slipway-cluster`."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator

from infra.model import MODEL
from infra.settings.eks import EksSettings
from infra.settings.values import Addresses, Network, PinnedImage
from infra.timeouts import NodeTimeouts


class Target(StrEnum):
    """Which cluster the cluster project makes or describes."""

    EMBEDDED = "embedded"
    EXISTING = "existing"
    KIND = "kind"
    EKS = "eks"


class EmbeddedSettings(BaseModel):
    """The cluster that Slipway itself makes on this machine."""

    model_config = MODEL

    nodes: int = Field(default=3, ge=1, le=3, description="Nodes, each a network namespace with a kubelet of its own.")
    network: Network = Field(
        default="10.123.0.0/24",
        description="Network of the bridge between the nodes. Two clusters on one machine need two.",
    )
    pod_network: Network = Field(default="10.244.0.0/16", description="Addresses of pods, inside the cluster only.")
    service_network: Network = Field(
        default="10.96.0.0/16", description="Addresses of Services, inside the cluster only."
    )
    timeouts: NodeTimeouts = Field(default=NodeTimeouts(), description="How fast a lost node is noticed.")


class ExistingSettings(BaseModel):
    """A cluster that is there already, reached by a kubeconfig."""

    model_config = MODEL

    kubeconfig_file: Path = Field(description="The kubeconfig; a relative path starts at the repository's root.")
    context: str | None = Field(default=None, description="Context in it; its current context if left out.")
    load_balancer: bool = Field(
        description="Whether Services of type LoadBalancer get an address by themselves; if not, MetalLB is installed."
    )
    address_range: Addresses | None = Field(
        default=None, description="Free addresses that MetalLB may give out. Required if loadBalancer is false."
    )
    shared_machine: bool = Field(
        default=False, description="Whether all nodes are on one machine; its figures are then taken once."
    )
    storage_class: str | None = Field(
        default=None, min_length=1, description="Storage class for databases; the cluster is asked for its default one."
    )
    registry: str | None = Field(
        default=None,
        description="`host:port` of a registry as nodes name it; if given, images are built here and pushed to it.",
    )
    registry_push: str | None = Field(
        default=None, description="`host:port` of the same registry as this machine reaches it."
    )
    registry_certificates: Path | None = Field(
        default=None, description="Folder with ca.crt, client.cert and client.key of that registry."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.load_balancer and not self.address_range:
            raise ValueError("addressRange is required if loadBalancer is false: MetalLB needs addresses to give out")
        if self.load_balancer and self.address_range:
            raise ValueError("addressRange must be left out if loadBalancer is true: nothing would read it")
        given = [self.registry, self.registry_push, self.registry_certificates]
        if any(given) and not all(given):
            raise ValueError("registry, registryPush and registryCertificates go together: give all three or none")
        return self


class KindSettings(BaseModel):
    """A cluster of containers that `kind` makes; docker must answer."""

    model_config = MODEL

    workers: int = Field(
        default=2, ge=0, le=9, description="Nodes beside the control plane; without any, that one takes pods too."
    )
    node_image: PinnedImage | None = Field(
        default=None, description="Image of the nodes, by digest; that of kind 0.30 if left out."
    )
    address_range: Addresses | None = Field(
        default=None, description="Free addresses for MetalLB; the end of docker's network for kind if left out."
    )
    registry_auth: Path | None = Field(
        default=None,
        description="Docker's `config.json` with the passwords of registries that nodes pull from, by absolute path.",
    )


class ClusterSettings(BaseModel):
    """Settings of the project `slipway-cluster`. The cluster's name is the stack's name."""

    model_config = MODEL

    target: Target = Field(default=Target.EMBEDDED, description="Which kind of cluster.")
    embedded: EmbeddedSettings | None = Field(default=None, description="Only for the target `embedded`.")
    existing: ExistingSettings | None = Field(
        default=None, description="Only for the target `existing`, and required there."
    )
    kind: KindSettings | None = Field(default=None, description="Only for the target `kind`.")
    eks: EksSettings | None = Field(default=None, description="Only for the target `eks`, and required there.")

    @model_validator(mode="after")
    def _of_the_target(self) -> Self:
        if self.target is not Target.EMBEDDED and self.embedded is not None:
            raise ValueError(f"embedded must be left out for the target {self.target.value}: nothing would read it")
        if self.target is Target.EXISTING and self.existing is None:
            raise ValueError("existing is required for the target existing: at least kubeconfigFile and loadBalancer")
        if self.target is not Target.EXISTING and self.existing is not None:
            raise ValueError(f"existing must be left out for the target {self.target.value}: nothing would read it")
        if self.target is not Target.KIND and self.kind is not None:
            raise ValueError(f"kind must be left out for the target {self.target.value}: nothing would read it")
        if self.target is Target.EKS and self.eks is None:
            raise ValueError("eks is required for the target eks: at least account, region and administrators")
        if self.target is not Target.EKS and self.eks is not None:
            raise ValueError(f"eks must be left out for the target {self.target.value}: nothing would read it")
        return self
