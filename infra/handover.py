"""What one project hands to the next, and nothing else: `Cluster` and `Platform`.

A project reads the other stack's outputs at once, as plain values, through the engine's own function for it. A
StackReference resource would give every value as an Output, and then a program could not decide by one (is MetalLB
needed?) without making resources inside `apply`; it would also copy all outputs, secrets included, into each state
that reads them. Values that are secret there are wrapped as secret again here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import pulumi
from pulumi.runtime import invoke

from infra.naming import Project
from infra.parts import Parts, Store
from infra.profiles import ProfileName

_READ_OUTPUTS: Final = "pulumi:pulumi:readStackOutputs"


class HandoverError(pulumi.RunError):
    """The stack that should have handed something over has not."""


@dataclass(frozen=True)
class Capabilities:
    """What a cluster can do. Only these may change what the platform installs.

    The two switches are plain values on both sides of a hand-over, since programs decide by them.

    Attributes:
        load_balancer: Services of type LoadBalancer get an address by themselves.
        local_images: It has a registry of its own; images are built and pushed there.
        registry: `host:port` of that registry as nodes name it.
        registry_push: `host:port` of that registry as this machine reaches it.
        registry_certificates: Folder on this machine with what pushing needs: ca.crt, client.cert and client.key.
        address_range: Free addresses for MetalLB, `first-last`.
        shared_machine: All its nodes are on one machine, whose figures are then the same on each.
        storage_class: Storage class for databases.
        load_balancer_annotations: What a Service of type LoadBalancer must say there to get the right kind of address;
            nothing if left out.
    """

    load_balancer: bool
    local_images: bool
    storage_class: pulumi.Input[str]
    registry: pulumi.Input[str] | None = None
    registry_push: pulumi.Input[str] | None = None
    registry_certificates: pulumi.Input[str] | None = None
    address_range: pulumi.Input[str] | None = None
    shared_machine: bool = False
    load_balancer_annotations: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse a set of capabilities that promises something it does not name."""
        if self.local_images and None in (self.registry, self.registry_push, self.registry_certificates):
            raise HandoverError(
                "the cluster says it has a registry, but lacks registry, registry_push or registry_certificates"
            )
        if not self.load_balancer and self.address_range is None:
            raise HandoverError("the cluster has no load balancer and names no address_range for MetalLB")

    def to_outputs(self) -> dict[str, pulumi.Input[Any]]:
        """All that is set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up.

    Attributes:
        kubeconfig: Credentials, secret.
        context: Context in it.
        identifier: Stays the same for as long as it is the same cluster, also if the kubeconfig changes; the
            Kubernetes provider replaces every object when this changes.
        capabilities: What it can do.
    """

    kubeconfig: pulumi.Input[str]
    context: pulumi.Input[str]
    identifier: pulumi.Input[str]
    capabilities: Capabilities

    def to_outputs(self) -> dict[str, pulumi.Output[Any]]:
        """The stack outputs of the cluster project."""
        return {
            "kubeconfig": pulumi.Output.secret(self.kubeconfig),
            "context": pulumi.Output.from_input(self.context),
            "identifier": pulumi.Output.from_input(self.identifier),
            "capabilities": pulumi.Output.from_input(self.capabilities.to_outputs()),
        }

    @classmethod
    def from_outputs(cls, outputs: "Outputs") -> Self:
        """Rebuild it from stack outputs. Raises `HandoverError` if one is missing."""
        return cls(
            kubeconfig=outputs.require("kubeconfig"),
            context=outputs.require("context"),
            identifier=outputs.require("identifier"),
            capabilities=Capabilities(**outputs.require("capabilities")),
        )


@dataclass(frozen=True)
class Platform:
    """A platform that services can be put on. Names are those of `infra.naming`; here is what only the stack knows.

    Attributes:
        profile: Profile that the platform was made with; services take the same.
        domain: Domain of all host names.
        ingress_address: IP address or host name at which HAProxy is reached.
        ca_certificate: Authority that signed HAProxy's certificate, in PEM.
        redis_password: Password of Redis, secret; `None` unless the platform brings Redis along.
        dns_timeout: Seconds until a pod asks the next name server.
        node_loss_timeout: Seconds that a pod stays bound to a lost node.
        connect_timeout: Seconds that HAProxy waits for a connection to a pod.
        server_timeout: Seconds that HAProxy waits for a pod's answer.
        parts: Which parts there are, and how to reach those that are elsewhere.
    """

    profile: ProfileName
    domain: str
    ingress_address: pulumi.Input[str]
    ca_certificate: pulumi.Input[str]
    redis_password: pulumi.Input[str] | None
    dns_timeout: int
    node_loss_timeout: int
    connect_timeout: int
    server_timeout: int
    parts: Parts = field(default_factory=Parts)

    def to_outputs(self) -> dict[str, pulumi.Output[Any]]:
        """The stack outputs of the platform project."""
        return {
            "profile": pulumi.Output.from_input(self.profile.value),
            "domain": pulumi.Output.from_input(self.domain),
            "ingressAddress": pulumi.Output.from_input(self.ingress_address),
            "caCertificate": pulumi.Output.unsecret(pulumi.Output.from_input(self.ca_certificate)),
            **({} if self.redis_password is None else {"redisPassword": pulumi.Output.secret(self.redis_password)}),
            "parts": pulumi.Output.from_input(self.parts.model_dump(mode="json", by_alias=True, exclude_none=True)),
            "timeouts": pulumi.Output.from_input(
                {
                    "dns": self.dns_timeout,
                    "nodeLoss": self.node_loss_timeout,
                    "connect": self.connect_timeout,
                    "server": self.server_timeout,
                }
            ),
        }

    @classmethod
    def from_outputs(cls, outputs: "Outputs") -> Self:
        """Rebuild it from stack outputs. Raises `HandoverError` if one is missing."""
        timeouts, parts = outputs.require("timeouts"), Parts.model_validate(outputs.require("parts"))
        return cls(
            profile=ProfileName(outputs.require("profile")),
            domain=outputs.require("domain"),
            ingress_address=outputs.require("ingressAddress"),
            ca_certificate=outputs.require("caCertificate"),
            redis_password=outputs.require("redisPassword") if parts.redis is Store.MANAGED else None,
            # JSON knows one kind of number; the engine hands every one of them over as a float.
            dns_timeout=int(timeouts["dns"]),
            node_loss_timeout=int(timeouts["nodeLoss"]),
            connect_timeout=int(timeouts["connect"]),
            server_timeout=int(timeouts["server"]),
            parts=parts,
        )


@dataclass(frozen=True)
class Outputs:
    """The outputs of another stack.

    Attributes:
        stack: Full name, for messages.
        values: Output name -> value, secrets in plain text in this process only.
        secret: Names of those that are secret.
        project: Which project the stack belongs to.
    """

    stack: str
    project: Project
    values: Mapping[str, Any]
    secret: frozenset[str]

    def require(self, name: str) -> Any:
        """One output; a secret one comes wrapped in a secret Output.

        Raises:
            HandoverError: The stack has no such output.
        """
        if name not in self.values:
            directory = self.project.value.removeprefix("slipway-")
            raise HandoverError(
                f"the stack {self.stack} has no output {name!r}: run `pulumi up` in infra/projects/{directory} first "
                "(and with the same passphrase, else its secrets cannot be read)"
            )
        value = self.values[name]
        return pulumi.Output.secret(value) if name in self.secret else value


def read(project: Project, stack: str) -> Outputs:
    """Read the outputs of another project's stack in the same state backend.

    Args:
        project: The other project.
        stack: Its stack, without organisation and project.

    Raises:
        HandoverError: There is no such stack.
    """
    name = f"{pulumi.get_organization()}/{project.value}/{stack}"
    try:
        answer = invoke(_READ_OUTPUTS, {"name": name}).value
    except Exception as error:
        directory = project.value.removeprefix("slipway-")
        raise HandoverError(
            f"cannot read the stack {name}: {error}. Run `pulumi up --stack {stack}` in infra/projects/{directory} "
            "first"
        ) from error
    # An empty list or mapping does not survive the way through the engine.
    return Outputs(name, project, answer.get("outputs") or {}, frozenset(answer.get("secretOutputNames") or ()))
