"""The control plane that is there, as its nodes and its add-ons both need it."""

from dataclasses import dataclass
from typing import final

import pulumi

from infra.settings.eks import EksSettings


@final
@dataclass(frozen=True)
class Made:
    """A cluster that AWS has made.

    Attributes:
        cluster: Its name, known when it is there.
        cluster_name: The same in plain text.
        settings: What the stack chose.
    """

    cluster: pulumi.Input[str]
    cluster_name: str
    settings: EksSettings
