"""How the addresses of a VPC are shared out. Pure arithmetic."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from infra.settings.eks import ZONES

#: A network is cut into four quarters, and the last of them again.
_QUARTERS: Final = 2


@final
@dataclass(frozen=True)
class Zone:
    """One zone and its two subnets.

    Attributes:
        name: As AWS calls it.
        public: Addresses of its ways in and out: the load balancer and the NAT gateway.
        private: Addresses of its nodes and pods.
    """

    name: str
    public: str
    private: str


def share_out(network: str, names: Sequence[str]) -> tuple[Zone, ...]:
    """Give each of three zones a quarter of a network for nodes and pods, and a sixteenth for ways in and out.

    Pods have addresses of the VPC, so nearly all of it is theirs. One sixteenth is left for what comes later.

    Args:
        network: The VPC's, by CIDR.
        names: Names of the zones.

    Raises:
        ValueError: There are not three names.
    """
    if len(names) != ZONES:
        raise ValueError(f"the zones are {', '.join(names) or 'none'}; there must be {ZONES}")
    *quarters, last = ipaddress.ip_network(network).subnets(_QUARTERS)
    sixteenths = list(last.subnets(_QUARTERS))[:ZONES]
    return tuple(
        Zone(name, str(public), str(private)) for name, public, private in zip(names, sixteenths, quarters, strict=True)
    )
