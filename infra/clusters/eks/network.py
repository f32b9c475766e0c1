"""The cluster's own network: public and private subnets in three zones, and a way out for nodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_aws.ec2 import (
    DefaultSecurityGroup,
    Eip,
    InternetGateway,
    NatGateway,
    Route,
    RouteTable,
    RouteTableAssociation,
    Subnet,
    Vpc,
)

from infra.clusters.eks.layout import Zone
from infra.components.base import Component

_ANYWHERE: Final = "0.0.0.0/0"
#: By these EKS finds the subnets for load balancers: on the Internet, and inside.
PUBLIC_ROLE: Final = "kubernetes.io/role/elb"
PRIVATE_ROLE: Final = "kubernetes.io/role/internal-elb"


@final
@dataclass(frozen=True)
class ClusterNetworkConfig:
    """What a network is.

    Attributes:
        cluster: The cluster's name.
        network: Its addresses.
        zones: How they are shared out.
        nat_per_zone: Whether each zone has its own way out; else the first one's serves all.
    """

    cluster: str
    network: str
    zones: tuple[Zone, ...]
    nat_per_zone: bool


class ClusterNetwork(Component):
    """The network. Who depends on it waits until nodes get out.

    Attributes:
        private: Identifiers of the subnets for nodes, in the order of the zones.
    """

    def __init__(self, name: str, config: ClusterNetworkConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("EksNetwork", name, opts)
        self._cluster = config.cluster
        self._vpc = Vpc(
            "vpc",
            cidr_block=config.network,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # the private endpoint of the API server is found by it
            tags=self._tags("vpc"),
            opts=self.child(),
        )
        # Every VPC has a group that lets all of its members talk; here it lets nobody, so nothing works by accident.
        DefaultSecurityGroup("default", vpc_id=self._vpc.id, ingress=[], egress=[], opts=self.child())
        gateways = self._public(config)
        self.private: list[pulumi.Output[str]] = [
            self._private(zone, gateways[index % len(gateways)]) for index, zone in enumerate(config.zones)
        ]
        self.register_outputs({"private": self.private})

    def _public(self, config: ClusterNetworkConfig) -> list[NatGateway]:
        """The subnets that are on the Internet, and the ways out in them."""
        internet = InternetGateway("internet", vpc_id=self._vpc.id, tags=self._tags("internet"), opts=self.child())
        table = RouteTable("public", vpc_id=self._vpc.id, tags=self._tags("public"), opts=self.child())
        way = Route(
            "public",
            route_table_id=table.id,
            destination_cidr_block=_ANYWHERE,
            gateway_id=internet.id,
            opts=self.child(),
        )
        gateways: list[NatGateway] = []
        for zone in config.zones:
            name = f"public-{zone.name}"
            subnet = Subnet(
                name,
                vpc_id=self._vpc.id,
                availability_zone=zone.name,
                cidr_block=zone.public,
                map_public_ip_on_launch=False,  # only what asks for an address has one
                tags={**self._tags(name), **self._found_by(PUBLIC_ROLE)},
                opts=self.child(),
            )
            RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id, opts=self.child())
            if config.nat_per_zone or not gateways:
                gateways.append(self._way_out(zone, subnet, way))
        return gateways

    def _way_out(self, zone: Zone, subnet: Subnet, way: Route) -> NatGateway:
        name = f"nat-{zone.name}"
        address = Eip(name, domain="vpc", tags=self._tags(name), opts=self.child(depends_on=[way]))
        return NatGateway(
            name,
            subnet_id=subnet.id,
            allocation_id=address.id,
            tags=self._tags(name),
            opts=self.child(depends_on=[way]),
        )

    def _private(self, zone: Zone, gateway: NatGateway) -> pulumi.Output[str]:
        """A subnet for nodes: it gets out, and nothing gets in."""
        name = f"private-{zone.name}"
        subnet = Subnet(
            name,
            vpc_id=self._vpc.id,
            availability_zone=zone.name,
            cidr_block=zone.private,
            map_public_ip_on_launch=False,
            tags={**self._tags(name), **self._found_by(PRIVATE_ROLE)},
            opts=self.child(),
        )
        table = RouteTable(name, vpc_id=self._vpc.id, tags=self._tags(name), opts=self.child())
        Route(
            name,
            route_table_id=table.id,
            destination_cidr_block=_ANYWHERE,
            nat_gateway_id=gateway.id,
            opts=self.child(),
        )
        RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id, opts=self.child())
        return subnet.id

    def _tags(self, name: str) -> Mapping[str, str]:
        return {"Name": f"{self._cluster}-{name}"}

    def _found_by(self, role: str) -> Mapping[str, str]:
        return {role: "1", f"kubernetes.io/cluster/{self._cluster}": "shared"}
