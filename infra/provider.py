"""The one Kubernetes provider of a program, made from the cluster's hand-over.

Always explicit: the default provider would take whatever cluster the user's own kubeconfig points at. The projects
switch it off (`pulumi:disable-default-providers`), so a resource that forgot its provider fails instead.
"""

import pulumi
import pulumi_kubernetes

from infra.handover import Cluster


def kubernetes(cluster: Cluster) -> pulumi_kubernetes.Provider:
    """The provider.

    Config maps and Secrets are changed in place: everything that reads one watches it, or has a hash of its content
    beside it. Replacing them would give them new names, and their names are known elsewhere.

    Args:
        cluster: Which cluster.
    """
    return pulumi_kubernetes.Provider(
        "cluster",
        kubeconfig=pulumi.Output.secret(cluster.kubeconfig),
        context=cluster.context,
        cluster_identifier=cluster.identifier,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        suppress_deprecation_warnings=False,
    )
