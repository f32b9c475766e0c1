"""What every component shares: its type token and the options of its children."""

from collections.abc import Sequence
from typing import Any

import pulumi


class Component(pulumi.ComponentResource):
    """A group of resources with a name of its own.

    Children take their provider from it, so a component is given `providers=[...]` once and nothing below repeats it.
    """

    def __init__(self, kind: str, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the component.

        Args:
            kind: Type of the component; part of the URN, so a change of it replaces everything below.
            name: Name of this one.
            opts: Options of the caller.
        """
        super().__init__(f"slipway:infra:{kind}", name, None, opts)
        waits = opts.depends_on if opts else None
        # What a component depends on is not inherited by its children, so each is told; else the order in which they
        # are destroyed would rest on details of the engine.
        self._depends_on: list[Any] = [] if waits is None else list(waits) if isinstance(waits, Sequence) else [waits]

    def child(
        self, *, depends_on: Sequence[pulumi.Resource] = (), timeout: str | None = None
    ) -> pulumi.ResourceOptions:
        """Options of a child.

        Args:
            depends_on: What must be ready before it.
            timeout: How long its creation and change may take, as `10m`; the provider's own limit if left out.
        """
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=[*self._depends_on, *depends_on],
            custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout) if timeout else None,
        )
