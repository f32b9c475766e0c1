"""Priority classes: when a node is full, what only watches makes room for what serves."""

from dataclasses import dataclass
from typing import Final, final

import pulumi
from pulumi_kubernetes.scheduling.v1 import PriorityClass

from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import PART_OF
from infra.naming import Priority

#: Value and meaning of each class. Kubernetes' own system classes begin at 2,000,000,000.
CLASSES: Final = {
    Priority.TRAFFIC: (1_000_000, "HAProxy: without it nothing is reached"),
    Priority.DATA: (900_000, "databases and their operators: slow to move, and everything waits for them"),
    Priority.SERVICE: (500_000, "services"),
    Priority.OBSERVABILITY: (100_000, "metrics, logs, traces: the first to make room"),
}


@final
@dataclass(frozen=True)
class PrioritiesResources:
    """What was made."""

    classes: tuple[PriorityClass, ...]


class Priorities(Component):
    """The priority classes of everything that Slipway runs."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make one object for each class."""
        super().__init__("Priorities", name, opts)
        self.resources = PrioritiesResources(
            tuple(
                PriorityClass(
                    priority.value,
                    metadata=metadata(priority.value, {"app.kubernetes.io/part-of": PART_OF}),
                    value=value,
                    description=meaning,
                    opts=self.child(),
                )
                for priority, (value, meaning) in CLASSES.items()
            )
        )
        self.register_outputs({})
