"""The Rollout of a service: Pulumi makes it, and leaves to pipelines and people what is theirs."""

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from infra.components.metadata import metadata
from infra.labels import WAIT_FOR, labels
from infra.naming import Environment
from slipway.rollout.resource import GROUP, KIND, VERSION

#: There is a stable version as soon as the first one has been promoted; then the service serves.
_SERVES: Final = "jsonpath={.status.stable.hash}"
#: What was asked for by `slipway rollout`: the wish of a person or a pipeline, never one of this program.
_WRITTEN_BY_OTHERS: Final = ("spec.image", "spec.commit", "spec.attempt", "spec.approve", "spec.abort", "spec.paused")


def rollout_object(
    service: str, environment: Environment, spec: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> CustomResource:
    """Make it, and wait until its first version serves.

    It stands beside the chart: an object inside of one cannot leave a field to others.

    Args:
        service: Name of the service, and of its Rollout.
        environment: Where it runs.
        spec: As docs/reference/rollout.md has it.
        opts: Options of the caller; chart and rights of the controller must be there first.
    """
    return CustomResource(
        "rollout",
        api_version=f"{GROUP}/{VERSION}",
        kind=KIND,
        metadata=metadata(
            service, labels(service, "service"), namespace=environment.value, annotations={WAIT_FOR: _SERVES}
        ),
        spec=spec,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=list(_WRITTEN_BY_OTHERS))),
    )
