"""The ends of the certificates that the platform made for its own parts, told to Prometheus (ADR 108)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from dashboards.rules import certificates
from infra import tls
from infra.components.base import Component
from infra.components.certificates import INGRESS_CERTIFICATE, Authority
from infra.components.metadata import metadata
from infra.components.prometheus import API
from infra.labels import labels
from infra.naming import PROMETHEUS

#: The authority itself, beside what it signed.
AUTHORITY = "authority"


@dataclass(frozen=True)
class CertificateEndsConfig:
    """What is watched.

    Attributes:
        authority: Who has signed everything by now.
        namespace: Where rules are.
        labels: Labels by which they are found, besides our own.
    """

    authority: Authority
    namespace: str
    labels: Mapping[str, str]


@final
@dataclass(frozen=True)
class CertificateEndsResources:
    """What was made."""

    rules: CustomResource


class CertificateEnds(Component):
    """Series with the end of each certificate but the ingress' own, which HAProxy's controller tells."""

    def __init__(self, name: str, config: CertificateEndsConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them; everything that is signed must be registered before."""
        super().__init__("CertificateEnds", name, opts)
        signed = {name: it.certificate for name, it in config.authority.signed.items() if name != INGRESS_CERTIFICATE}
        every = pulumi.Output.all(**{AUTHORITY: config.authority.certificate, **signed})
        self.resources = CertificateEndsResources(
            CustomResource(
                "rules",
                api_version=API,
                kind="PrometheusRule",
                metadata=metadata(
                    "certificates", {**labels(PROMETHEUS, "metrics"), **config.labels}, namespace=config.namespace
                ),
                spec={"groups": every.apply(manifests)},
                opts=self.child(),
            )
        )
        self.register_outputs({})


def manifests(issued: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """The groups of rules for certificates.

    Args:
        issued: Name -> certificate, in PEM.
    """
    ends = {name: tls.end(certificate) for name, certificate in issued.items()}
    return [group.to_manifest() for group in certificates.groups(ends)]
