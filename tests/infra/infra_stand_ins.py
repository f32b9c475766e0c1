"""Clusters and platforms that stand for real ones, as one project hands them to the next."""

from dataclasses import replace

from infra.handover import Capabilities, Platform
from infra.profiles import ProfileName

#: As `embedded` makes one: a registry that is pushed to from here, and addresses for MetalLB to give out.
OWN_REGISTRY = Capabilities(
    load_balancer=False,
    local_images=True,
    storage_class="standard",
    registry="registry.test:5000",
    registry_push="10.0.0.1:5000",
    registry_certificates="/certificates",
    address_range="10.0.0.200-10.0.0.250",
)
#: The same, all nodes on one machine.
SHARED = replace(OWN_REGISTRY, shared_machine=True)
#: With a registry, and addresses that come by themselves.
BALANCED = replace(OWN_REGISTRY, load_balancer=True, address_range=None)
#: Without a registry of ours.
CLOUD = Capabilities(load_balancer=True, local_images=False, storage_class="gp3")

PLATFORM = Platform(
    profile=ProfileName.SMALL,
    domain="slipway.test",
    ingress_address="10.0.0.200",
    ca_certificate="certificate",
    redis_password=None,
    dns_timeout=1,
    node_loss_timeout=10,
    connect_timeout=1,
    server_timeout=10,
)

#: What the first two projects have exported, and under which name the engine finds it.
CLUSTER_OUTPUTS = {
    "kubeconfig": "plain-kubeconfig",
    "context": "test",
    "identifier": "embedded/test",
    "capabilities": OWN_REGISTRY.to_outputs(),
}
PLATFORM_OUTPUTS = {
    "profile": "small",
    "domain": "slipway.test",
    "ingressAddress": "10.0.0.200",
    "caCertificate": "certificate",
    "redisPassword": "plain-redis",
    "timeouts": {"dns": 1.0, "nodeLoss": 10.0, "connect": 1.0, "server": 10.0},
    "parts": {"metrics": "managed", "postgres": "managed", "redis": "managed"},
}
STACKS = {
    "organization/slipway-cluster/test": CLUSTER_OUTPUTS,
    "organization/slipway-platform/test": PLATFORM_OUTPUTS,
}
