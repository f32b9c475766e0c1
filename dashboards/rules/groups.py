"""The form of rules: values that become what Prometheus reads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

_RECORD: Final = re.compile(r"[a-z_][a-z0-9_]*(:[a-z_][a-z0-9_]*){2}")
_ALERT: Final = re.compile(r"[A-Z][A-Za-z0-9]+")
_GROUP: Final = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Recording:
    """A series that is computed and kept.

    Attributes:
        record: Its name, as level:metric:operation.
        expression: PromQL.
        labels: Labels that are added.
        meaning: One sentence for people, with the unit.
    """

    record: str
    expression: str
    meaning: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse a name that is not of the agreed form. Raises `ValueError`."""
        if not _RECORD.fullmatch(self.record):
            raise ValueError(f"the recording rule {self.record!r} must be named level:metric:operation, in lower case")

    def to_manifest(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.record, "expr": self.expression, **labels}


class Severity(StrEnum):
    """How soon a person is needed."""

    PAGE = "page"  # now, at any hour: users feel it, or will soon
    TICKET = "ticket"  # in working hours
    NONE = "none"  # nobody: it only shows that alerts get through


@dataclass(frozen=True)
class Alert:
    """A condition that a person shall hear of.

    Attributes:
        name: Its name, which is also its runbook's: docs/runbooks/<name>.md.
        expression: PromQL; whatever it yields is a firing alert.
        after: Seconds for which it must hold before anyone hears of it.
        severity: How soon a person is needed.
        summary: One line with the labels in it (Prometheus templates), for a list.
        description: What it means and what users notice.
        labels: Labels that are added.
    """

    name: str
    expression: str
    after: int
    severity: Severity
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Refuse a name that is not of the agreed form. Raises `ValueError`."""
        if not _ALERT.fullmatch(self.name):
            raise ValueError(f"the alert {self.name!r} must be named in words with capitals, such as IngressDown")

    @property
    def runbook(self) -> str:
        """Where it is said what to do, from the repository's root."""
        return f"docs/runbooks/{self.name}.md"

    def to_manifest(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            **({"for": f"{self.after}s"} if self.after else {}),
            "labels": {"severity": self.severity.value, **self.labels},
            "annotations": {"summary": self.summary, "description": self.description, "runbook": self.runbook},
        }


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated together, in order.

    Attributes:
        name: Its name, unique over all groups.
        every: Seconds between two evaluations.
        rules: The rules.
    """

    name: str
    every: int
    rules: tuple[Recording | Alert, ...]

    def __post_init__(self) -> None:
        """Refuse a group that Prometheus would refuse or never evaluate. Raises `ValueError`."""
        if not _GROUP.fullmatch(self.name):
            raise ValueError(f"the rule group {self.name!r} must be named in lower case, with digits and hyphens")
        if self.every < 1 or not self.rules:
            raise ValueError(f"the rule group {self.name} needs at least one rule and a period of 1 s or more")

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Those that record."""
        return tuple(rule for rule in self.rules if isinstance(rule, Recording))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Those that alert."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))

    def to_manifest(self) -> dict[str, Any]:
        """The group as Prometheus reads it."""
        return {"name": self.name, "interval": f"{self.every}s", "rules": [rule.to_manifest() for rule in self.rules]}
