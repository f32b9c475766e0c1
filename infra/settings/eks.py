"""What a stack can choose for the target `eks`, and what AWS would refuse, refused here in words.

Read by `infra.settings` as a part of the cluster project's settings. Sources of the limits: the user guides of VPC
(networks from /16 to /28), of EKS (Service addresses from /12 to /24) and of CloudWatch (days that a log is kept).
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from infra.model import MODEL

#: Zones of a region that a cluster lies in: Postgres and Redis have three members, one for each.
ZONES: Final = 3
#: What CloudWatch can keep a log for, in days, from a week on.
LOG_DAYS: Final = (7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

_REGION: Final = re.compile(r"[a-z]{2}(-gov)?-[a-z]+-[1-9]")
_PRINCIPAL: Final = re.compile(r"arn:(aws|aws-us-gov):iam::([0-9]{12}):(role|user)/[\w+=,.@/-]{1,512}")
_INSTANCE: Final = re.compile(r"[a-z]+(?:-[a-z0-9]+)?[0-9]+([a-z-]*)\.[a-z0-9-]+")
_PRIVATE: Final = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
#: What nobody has on the Internet: the private ranges, carriers' own, this machine, the link, groups and reserved ones.
_NOBODYS: Final = (
    *_PRIVATE,
    *map(ipaddress.IPv4Network, ("0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")),
)
#: The widest range that may reach the public endpoint: an office or a pipeline, not a provider.
_WIDEST_OF_PUBLIC: Final = 16
_VPC: Final = range(16, 21)
_SERVICES: Final = range(12, 25)


def partition(region: str) -> str:
    """The part of AWS that a region belongs to, which ARNs begin with."""
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("must be a region's name, such as eu-central-1")
    if value.startswith("cn-"):
        raise ValueError("is in China, whose endpoints and principals have other names that nothing here knows")
    return value


def _account(value: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", value):
        raise ValueError("must be the twelve digits of an account, in quotes: a number would lose zeros in front")
    return value


def _principal(value: str) -> str:
    if ":assumed-role/" in value:
        raise ValueError(
            "is a session; name the role that it took: arn:aws:iam::ACCOUNT:role/NAME instead of "
            "arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION"
        )
    if not _PRINCIPAL.fullmatch(value):
        raise ValueError("must be the ARN of a role or user, such as arn:aws:iam::111122223333:role/deployers")
    return value


def _zones(value: str) -> str:
    letters = value.split(",")
    if len(letters) != ZONES or len(set(letters)) != ZONES or any(not re.fullmatch("[a-z]", it) for it in letters):
        raise ValueError("must be the letters of three different zones of the region, such as a,b,c")
    return value


def _ipv4(value: str) -> ipaddress.IPv4Network:
    network = ipaddress.ip_network(value)
    if isinstance(network, ipaddress.IPv6Network):
        raise ValueError("must be a network of IPv4: nothing here gives addresses of IPv6 out")  # noqa: TRY004  # pydantic tells ValueErrors only
    return network


def _own(value: str, lengths: Sequence[int]) -> str:
    network = _ipv4(value)
    if not any(network.subnet_of(it) for it in _PRIVATE):
        raise ValueError("must be inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    if network.prefixlen not in lengths:
        raise ValueError(f"must be from /{lengths[0]} to /{lengths[-1]}")
    return value


def _vpc(value: str) -> str:
    return _own(value, _VPC)


def _services(value: str) -> str:
    return _own(value, _SERVICES)


def _public_range(value: str) -> str:
    network = _ipv4(value)
    if network.prefixlen < _WIDEST_OF_PUBLIC:
        raise ValueError(
            f"must be /{_WIDEST_OF_PUBLIC} or narrower: the public endpoint is for an office or a pipeline, not for "
            "everybody; leave the setting out to close it"
        )
    if any(network.overlaps(it) for it in _NOBODYS):
        raise ValueError("holds addresses that nobody has on the Internet: name the address behind which you go out")
    return value


def _instance(value: str) -> str:
    found = _INSTANCE.fullmatch(value)
    if not found:
        raise ValueError("must be a type of instance, such as m6i.xlarge")
    if "g" in found[1] or value.startswith("a1."):
        raise ValueError("is of the architecture arm64; the images are for x86-64: take m6i.xlarge, say")
    return value


def _log_days(value: int) -> int:
    if value not in LOG_DAYS:
        raise ValueError(f"must be one of {', '.join(str(it) for it in LOG_DAYS)}: CloudWatch knows no others")
    return value


class EksSettings(BaseModel):
    """A cluster of EKS with its own network, in one account and region of AWS."""

    model_config = MODEL

    account: Annotated[str, AfterValidator(_account)] = Field(
        description="The account; credentials of another one are refused before anything is made."
    )
    region: Annotated[str, AfterValidator(_region)] = Field(description="The region, such as `eu-central-1`.")
    administrators: tuple[Annotated[str, AfterValidator(_principal)], ...] = Field(
        min_length=1,
        description="ARNs of the roles and users that administrate the cluster; whoever runs `up` must be one of them. "
        "Who made it gets no rights by that.",
    )
    zones: Annotated[str, AfterValidator(_zones)] = Field(
        default="a,b,c", description="Letters of three zones of the region. Other ones later make everything anew."
    )
    network: Annotated[str, AfterValidator(_vpc)] = Field(
        default="10.40.0.0/16", description="Addresses of the VPC, of nodes and of pods; from /16 to /20."
    )
    service_network: Annotated[str, AfterValidator(_services)] = Field(
        default="172.20.0.0/16", description="Addresses of Services, inside the cluster only; from /12 to /24."
    )
    nat_per_zone: bool = Field(
        default=True,
        description="Whether each zone has its own way out. With one for all, none gets out while that zone is down.",
    )
    public_access_from: tuple[Annotated[str, AfterValidator(_public_range)], ...] = Field(
        default=(),
        max_length=40,
        description="Ranges that may reach the API server over the Internet. Without any it is reached from inside the "
        "VPC only, and `up` must run there: the first one, which makes the VPC, cannot.",
    )
    version: str = Field(default="1.34", pattern=r"^1\.3[0-9]$", description="Minor version of Kubernetes.")
    instance_type: Annotated[str, AfterValidator(_instance)] = Field(
        default="m6i.xlarge", description="What nodes run on; x86-64."
    )
    nodes: int = Field(default=3, ge=3, le=100, description="Nodes, spread over the zones.")
    disk: int = Field(default=100, ge=20, le=16384, description="Disk of each node, in GiB; not for volumes of pods.")
    log_days: Annotated[int, AfterValidator(_log_days)] = Field(
        default=90, ge=7, le=3653, description="Days that the control plane's logs are kept; what CloudWatch knows."
    )
    network_policies: bool = Field(default=True, description="Whether the cluster enforces network policies.")
    internal_load_balancer: bool = Field(
        default=False, description="Whether HAProxy's address is inside the VPC instead of on the Internet."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if ipaddress.ip_network(self.network).overlaps(ipaddress.ip_network(self.service_network)):
            raise ValueError(
                f"network ({self.network}) and serviceNetwork ({self.service_network}) must not overlap: pods could "
                "not tell a Service from a node"
            )
        begin = f"arn:{partition(self.region)}:iam::{self.account}:"
        for principal in self.administrators:
            if not principal.startswith(begin):
                raise ValueError(
                    f"administrators holds {principal}, which is not of the account {self.account} ({begin}...): let "
                    "people of another account take a role of this one"
                )
        twice = sorted({it for it in self.administrators if self.administrators.count(it) > 1})
        if twice:
            raise ValueError(f"administrators names {', '.join(twice)} more than once")
        return self

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The zones as AWS calls them, such as `eu-central-1a`."""
        return tuple(f"{self.region}{letter}" for letter in self.zones.split(","))
