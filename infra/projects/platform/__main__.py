"""Puts the platform on the cluster of the same name, and hands it over."""
# ruff: noqa: INP001  # a program that Pulumi runs, not a module of a package

import pulumi

from infra import authority, handover, naming, provider, releases, settings
from infra.components.platform import Platform, PlatformConfig

chosen = settings.platform_settings()
cluster_name = naming.cluster_name(pulumi.get_stack())
cluster = handover.Cluster.from_outputs(handover.read(naming.Project.CLUSTER, cluster_name))
platform = Platform(
    "platform",
    PlatformConfig(
        cluster_name,
        cluster.capabilities,
        chosen,
        releases.read,
        None if chosen.authority is None else authority.read(chosen.authority),
    ),
    pulumi.ResourceOptions(providers=[provider.kubernetes(cluster)]),
)
for name, value in platform.handover.to_outputs().items():
    pulumi.export(name, value)
