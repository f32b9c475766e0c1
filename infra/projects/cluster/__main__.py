"""Makes or describes the cluster, and hands it over. The stack's name is the cluster's name."""
# ruff: noqa: INP001  # a program that Pulumi runs, not a module of a package

import pulumi

from infra import naming, settings
from infra.clusters import targets

cluster = targets.make(naming.cluster_name(pulumi.get_stack()), settings.cluster_settings())
for name, value in cluster.to_outputs().items():
    pulumi.export(name, value)
