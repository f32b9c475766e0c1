"""Speaking with the API server by kubectl."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from slipway.node.errors import NodeError
from slipway.node.shell import run

FIELD_MANAGER = "slipway-node"


@final
@dataclass(frozen=True)
class Kubectl:
    """kubectl with the cluster it speaks to."""

    binary: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run kubectl; returns its standard output.

        Raises:
            NodeError: it failed.
        """
        return run(str(self.binary), f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin, timeout=timeout)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self("get", "--raw=/readyz", "--request-timeout=3s").strip() == "ok"
        except NodeError:
            return False

    def get(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a kind."""
        found = json.loads(self("get", kind, "--output=json", *arguments))
        return list(found.get("items", [found]))

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Server-side apply of objects, in their order."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self(
            "apply",
            "--server-side",
            f"--field-manager={FIELD_MANAGER}",
            "--force-conflicts",
            "--filename=-",
            stdin=document,
        )
