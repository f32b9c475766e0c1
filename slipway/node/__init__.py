"""The embedded cluster: a real Kubernetes cluster on this Linux machine, from upstream components.

A control plane and up to three nodes, each in a network namespace of its own on one bridge; nodes have a mount
namespace and a control group of their own too, so that stopping one is as final as pulling its plug. Everything is
kept by one supervisord. The package knows nothing of Pulumi: `infra/clusters/embedded.py` is the thin provider.
"""

from slipway.node.cluster import Access, access, aged, create, destroy, exists, fingerprint, healthy
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec, NodeTimeouts

__all__ = [
    "Access",
    "ClusterSpec",
    "NodeError",
    "NodeTimeouts",
    "access",
    "aged",
    "create",
    "destroy",
    "exists",
    "fingerprint",
    "healthy",
]
