"""The platform's certificate authority and what it signs, made without further provider plugins (ADR 100).

The authority is made here, or given by the stack. A certificate is made anew by the first `pulumi up` after two thirds
of its life, or when `slipway certificates rotate` says so; HAProxy takes the new one over without a restart. Private
keys are outputs only, and secret.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from infra import tls
from infra.components.base import Component

_AUTHORITY_DAYS: Final = 3650
_SERVER_DAYS: Final = 398
#: The one that users see; HAProxy's controller tells of its end itself.
INGRESS_CERTIFICATE: Final = "ingress"


@final
class AuthorityProvider(ResourceProvider):
    """Makes a certificate authority."""

    serialize_as_secret_always = False  # it holds nothing, so the state can show which code made the key

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A new key and a certificate that signs itself."""
        pair = tls.authority(props["common_name"], days=int(props["days"]), now=datetime.now(UTC))
        return CreateResult(
            str(uuid.uuid4()), {**props, "certificate": pair.certificate, "private_key": pair.private_key}
        )

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Made anew if it is asked for with another name or length of life, or is near its end."""
        return changes(_olds, _news, ("common_name", "days"), now=datetime.now(UTC))


@final
class ServerCertificateProvider(ResourceProvider):
    """Makes certificates signed by an authority."""

    serialize_as_secret_always = False  # it holds nothing, so the state can show which code made the key

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A new key and a certificate for it."""
        signer = tls.KeyPair(props["authority_certificate"], props["authority_key"])
        pair = tls.server(
            props["dns_names"],
            signer,
            days=int(props["days"]),
            now=datetime.now(UTC),
            client=bool(props.get("client")),
        )
        # The authority's key must not stand in a second place, not even encrypted.
        kept = {key: value for key, value in props.items() if key != "authority_key"}
        return CreateResult(
            str(uuid.uuid4()), {**kept, "certificate": pair.certificate, "private_key": pair.private_key}
        )

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Made anew for other names, another authority, another length of life, or near its end."""
        return changes(_olds, _news, ("dns_names", "authority_certificate", "days", "client"), now=datetime.now(UTC))


def changes(olds: dict[str, Any], news: dict[str, Any], inputs: Sequence[str], *, now: datetime) -> DiffResult:
    """What makes a certificate be replaced.

    Args:
        olds: Properties as they stand in the state.
        news: Properties as the program asks for them.
        inputs: Names of those that go into the certificate.
        now: The time, with a time zone.
    """
    replaces = [name for name in inputs if olds.get(name) != news.get(name)]
    if not replaces and tls.due(olds["certificate"], now):
        replaces = ["certificate"]
    return DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=False)


class GeneratedAuthority(Resource, module="slipway", name="GeneratedAuthority"):
    """A certificate authority.

    Attributes:
        certificate: In PEM.
        private_key: In PEM, secret.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(
        self, name: str, common_name: str, *, days: int = _AUTHORITY_DAYS, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make it.

        Args:
            name: Name of the resource.
            common_name: What people see as its name.
            days: How long it lives.
            opts: Options of the caller.
        """
        super().__init__(
            AuthorityProvider(),
            name,
            {"common_name": common_name, "days": days, "certificate": None, "private_key": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["private_key"])),
        )


@final
@dataclass(frozen=True)
class Authority:
    """Who signs, whether made here or given.

    Attributes:
        certificate: In PEM, with those up to the root.
        private_key: In PEM, secret.
        signed: Name -> what it has signed so far, so that none is forgotten where their ends are watched.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    signed: dict[str, "GeneratedCertificate"] = field(default_factory=dict[str, "GeneratedCertificate"])

    @classmethod
    def of(cls, pair: tls.KeyPair) -> "Authority":
        """The authority of a pair that others have made."""
        return cls(pulumi.Output.from_input(pair.certificate), pulumi.Output.secret(pair.private_key))


class GeneratedCertificate(Resource, module="slipway", name="GeneratedCertificate"):
    """A certificate of a server or a client.

    Attributes:
        certificate: In PEM.
        private_key: In PEM, secret.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        dns_names: Sequence[pulumi.Input[str]],
        authority: Authority,
        *,
        days: int = _SERVER_DAYS,
        client: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make it.

        Args:
            name: Name of the resource.
            dns_names: Host names and addresses that it is for.
            authority: Who signs it.
            days: How long it lives; browsers refuse more than 398.
            client: Whether it is for a client instead of a server.
            opts: Options of the caller.
        """
        super().__init__(
            ServerCertificateProvider(),
            name,
            {
                "dns_names": list(dns_names),
                "authority_certificate": authority.certificate,
                "authority_key": pulumi.Output.secret(authority.private_key),
                "days": days,
                # Left out for servers: a further input would make every certificate that is there anew.
                **({"client": True} if client else {}),
                "certificate": None,
                "private_key": None,
            },
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["private_key", "authority_key"])
            ),
        )
        authority.signed[name] = self


@dataclass(frozen=True)
class CertificatesConfig:
    """What is certified.

    Attributes:
        authority_name: Name of the authority, as browsers show it.
        hosts: Host names of the ingress certificate.
        given: An authority that others have made, to sign instead of one of our own.
    """

    authority_name: str
    hosts: tuple[str, ...]
    given: tls.KeyPair | None = None


@final
@dataclass(frozen=True)
class CertificatesResources:
    """What was made."""

    authority: Authority
    ingress: GeneratedCertificate


class Certificates(Component):
    """The authority and the certificate of the ingress."""

    def __init__(self, name: str, config: CertificatesConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make both. Raises `ValueError` without a host name."""
        if not config.hosts:
            raise ValueError("the ingress certificate needs at least one host name")
        super().__init__("Certificates", name, opts)
        if config.given:
            authority = Authority.of(config.given)
        else:
            own = GeneratedAuthority("authority", config.authority_name, opts=self.child())
            authority = Authority(own.certificate, own.private_key)
        self.resources = CertificatesResources(
            authority, GeneratedCertificate(INGRESS_CERTIFICATE, config.hosts, authority, opts=self.child())
        )
        self.register_outputs({"authority": authority.certificate})
