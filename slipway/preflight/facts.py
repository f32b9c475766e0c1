"""What the checks look at, gathered: by a pipeline's narrow rights from the API server, and from the checkout."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from dashboards.rules import alerts, slo
from dashboards.rules.present import Present
from infra.naming import PROMETHEUS, PROMETHEUS_PORT, Namespace
from slipway import supply
from slipway.rollout import resource
from slipway.rollout.api import APPS, CORE, ROLLOUTS, Refused, path_of
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout

Manifest = Mapping[str, Any]
T = TypeVar("T")

#: Kinds that the checks look at: kind -> where the API has it. Secrets are not among them.
KINDS: Final = {
    "Deployment": (APPS, "deployments"),
    "Pod": (CORE, "pods"),
    "Service": (CORE, "services"),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
}
DOCUMENTS: Final = ("README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "uv.lock")
_ALERTS: Final = f"{CORE}/namespaces/{Namespace.MONITORING}/services/{PROMETHEUS}:{PROMETHEUS_PORT}/proxy/api/v1/alerts"


class Reader(Protocol):
    """The reading half of `slipway.rollout.api.Api`."""

    async def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, or None when there is none."""
        ...

    async def list(self, path: str, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a list."""
        ...


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that fires."""

    name: str
    severity: str


@dataclass(frozen=True, slots=True)
class Repository:
    """What the checkout says: documents that are missing, alerts without a runbook, exceptions past their day."""

    missing: tuple[str, ...]
    without_runbook: tuple[str, ...]
    expired: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is judged.

    Attributes:
        rollout: the service's; None if nothing is known of it.
        objects: kind -> those in the environment's namespace; a kind of which nothing is known is absent.
        alerts: that fire on the whole platform; None if nobody answered.
        repository: the checkout.
        unknown: what is not known -> why.
    """

    rollout: Rollout | None
    objects: Mapping[str, Sequence[Manifest]]
    alerts: tuple[Alert, ...] | None
    repository: Repository
    unknown: Mapping[str, str] = field(default_factory=dict[str, str])


async def gather(api: Reader, namespace: str, service: str, repository: Repository) -> Facts:
    """Ask the cluster. What it refuses or does not have is told in `unknown`, never guessed."""
    unknown: dict[str, str] = {}

    async def ask(what: str, question: Callable[[], Awaitable[T | None]]) -> T | None:
        try:
            answer = await question()
        except (Refused, Unavailable) as error:
            unknown[what] = str(error)
            return None
        if answer is None:
            unknown[what] = "there is none"
        return answer

    async def rollout() -> Rollout | None:
        found = await api.get(path_of(ROLLOUTS, namespace, "rollouts", service))
        return None if found is None else resource.parse(found)

    objects: dict[str, Sequence[Manifest]] = {}
    for kind, (base, plural) in KINDS.items():
        found = await ask(kind, lambda base=base, plural=plural: api.list(path_of(base, namespace, plural)))
        if found is not None:
            objects[kind] = [{**it, "kind": kind} for it in found]  # lists leave it out
    answer = await ask("alerts", lambda: api.get(_ALERTS))
    firing = None if answer is None else tuple(_firing(answer))
    return Facts(await ask("rollout", rollout), objects, firing, repository, unknown)


def look(root: Path, today: date) -> Repository:
    """Look at the checkout."""
    names = sorted({one.name for group in (*slo.groups(), *alerts.groups(Present())) for one in group.alerts})
    accepted = supply.read_exceptions(root / ".github" / "vulnerabilities.yml")
    return Repository(
        missing=tuple(name for name in DOCUMENTS if not (root / name).is_file()),
        without_runbook=tuple(it for it in names if not (root / "docs" / "runbooks" / f"{it}.md").is_file()),
        expired=tuple(f"{one.id} of {one.package}" for one in accepted if one.until < today),
    )


def _firing(answer: Mapping[str, Any]) -> list[Alert]:
    found = answer.get("data", {}).get("alerts", [])
    return [
        Alert(it["labels"]["alertname"], it["labels"].get("severity", "")) for it in found if it["state"] == "firing"
    ]
