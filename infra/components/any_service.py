"""A service that is not ours, on the platform: its namespace, the chart of any service, a Rollout.

What its pods are stands in a file of chart values in its own repository; the platform adds what only it knows (host
names, waits, which namespaces may reach it). As with the payload, Pulumi names the first image only: from then on
`spec.image` is written by pipelines and people (docs/reference/field-ownership.md).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import pulumi
import yaml
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.helm.v4 import Chart
from pulumi_kubernetes.rbac.v1 import RoleBinding

from infra import naming
from infra.components.base import Component
from infra.components.namespace import Namespace, NamespaceConfig
from infra.components.platform_values import platform_values
from infra.components.preview_check import preview_spec
from infra.components.rollout_controller import environment_rights
from infra.components.rollout_object import rollout_object
from infra.components.service import MIGRATES
from infra.handover import Platform
from infra.naming import Environment

CHART: Final = Path(__file__).resolve().parents[2] / "helm" / "service"
#: Longest name of a service: the chart adds `-green`, a hash and a pod's suffix (helm/service/templates/_names.tpl).
NAME_LIMIT: Final = 40
#: Fields of a Rollout that have the name of their value.
_SAME: Final = ("replicas", "rollbackWindow", "scaleDownDelay", "drainTimeout", "progressDeadline", "pauseTimeout")


@dataclass(frozen=True)
class AnyServiceConfig:
    """Which service, and how.

    Attributes:
        name: Its name, and that of its Rollout.
        environment: Where it runs; no other service may run there.
        image: Its first image, by digest.
        platform: What it stands on.
        values: Values of the chart, as its repository gives them.
    """

    name: str
    environment: Environment
    image: str
    platform: Platform
    values: Mapping[str, Any]


@final
@dataclass(frozen=True)
class AnyServiceResources:
    """What was made."""

    namespace: Namespace
    rights: RoleBinding
    chart: Chart
    rollout: CustomResource


class AnyService(Component):
    """A service of an environment.

    Attributes:
        url: Where users reach it.
        preview_url: Where a new version is tried.
    """

    def __init__(self, name: str, config: AnyServiceConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it. Raises `ValueError` if the name cannot be a service's."""
        naming.dns_label("the project's name (which is the service's name)", config.name, limit=NAME_LIMIT)
        super().__init__("AnyService", name, opts)
        values = whole_values(config)
        self.url = f"https://{values['ingress']['host']}"
        self.preview_url = f"https://{values['preview']['host']}"
        self.resources = self._create(config, values)
        self.register_outputs({"url": self.url, "previewUrl": self.preview_url})

    def _create(self, config: AnyServiceConfig, values: Mapping[str, Any]) -> AnyServiceResources:
        where = config.environment.value
        namespace = Namespace("namespace", NamespaceConfig(where), self.child())
        chart = Chart(
            config.name,
            name=config.name,
            namespace=where,
            # Relative to the program: an absolute path would differ on every machine and show up as a change.
            chart=os.path.relpath(CHART),
            # The Rollout is made beside it (`rollout_object`).
            values=laid_over(values, {"rollout": {"enabled": False}}),
            opts=self.child(depends_on=[namespace]),
        )
        rights = environment_rights(config.environment, self.child(depends_on=[namespace]))
        rollout = rollout_object(
            config.name,
            config.environment,
            rollout_spec(config.name, config.image, values),
            self.child(depends_on=[chart, rights], timeout="15m"),
        )
        return AnyServiceResources(namespace, rights, chart, rollout)


def values_of(path: Path, over: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a file, with those of an environment laid over them.

    Raises:
        ValueError: The file holds no mapping.
    """
    read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(read, dict):
        raise ValueError(  # noqa: TRY004  # wrong content of a file, told as such
            f"{path} holds a {type(read).__name__}; allowed are values of the chart, key by key"
        )
    return laid_over(read, over)


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key, everything else replaced: as Helm does it."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def whole_values(config: AnyServiceConfig) -> dict[str, Any]:
    """All values: the chart's own, what the platform knows, what the service's repository says; the last one wins."""
    known = platform_values(config.environment, config.platform)
    return laid_over(laid_over(values_of(CHART / "values.yaml", {}), known), config.values)


def _enabled(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What scales something, as a Rollout says it: there or not, instead of on or off."""
    told = {key: value for key, value in asked.items() if key != "enabled"}
    return {"autoscaling": told} if asked["enabled"] else {}


def _workers(name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"template": f"{name}-worker", "replicas": asked["replicas"], **_enabled(asked["autoscaling"])}


def rollout_spec(name: str, image: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The wanted version and how to get there: what helm/service/templates/rollout.yaml makes of the same values.

    Args:
        name: Of the service.
        image: The first one.
        values: All values of the chart.
    """
    chosen, migrations, workers = values["rollout"], values["migrations"], values["workers"]
    if chosen["strategy"] == "canary":
        strategy: dict[str, Any] = {"canary": {"approval": chosen["approval"], "steps": chosen["steps"]}}
    else:
        strategy = {"blueGreen": {"approval": chosen["approval"], "pause": chosen["pause"]}}
    told = [{"kind": "ConfigMap", "name": f"{name}-env"}] if values["env"] else []
    secrets = dict.fromkeys(it["secret"] for it in (*values["secrets"], *migrations["secrets"]))
    told += [{"kind": "Secret", "name": it} for it in secrets]
    analysis = {"soak": chosen["soak"], "metrics": chosen["metrics"]}
    migrated = {
        "command": migrations["command"],
        **({"container": MIGRATES} if migrations["secrets"] else {}),
        "contract": migrations["contract"],
        "timeout": f"{migrations['deadlineSeconds']}s",
    }
    return {
        "service": name,
        "template": name,
        "container": "service",
        "image": image,
        "strategy": strategy,
        **_enabled(chosen["autoscaling"]),
        **({"analysis": analysis} if chosen["metrics"] else {}),
        **({"config": told} if told else {}),
        **preview_spec(name, values["preview"]),
        **({"workers": _workers(name, workers)} if workers["enabled"] else {}),
        **({"migrations": migrated} if migrations["enabled"] else {}),
        **{key: chosen[key] for key in _SAME},
    }
