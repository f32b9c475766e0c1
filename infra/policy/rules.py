"""All rules, and how a set of manifests is held against them. Pure: no Pulumi, no Helm, no files.

Used three times: by the policy pack (`infra/policy/pack`) on what `pulumi preview` and `up` are about to make, by the
mock tests of the components, and by the tests of the rendered chart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infra.policy.exemptions import EXEMPTIONS, Exemption
from infra.policy.model import Finding, Manifest, Rule
from infra.policy.pod_rules import POD_RULES
from infra.policy.set_rules import SET_RULES

RULES: tuple[Rule, ...] = (*POD_RULES, *SET_RULES)


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold for an object, with no exemption for it."""

    rule: Rule
    finding: Finding

    @property
    def headline(self) -> str:
        """Returns which object is wrong and how."""
        return f"{self.finding.subject}: {self.finding.detail}"

    def __str__(self) -> str:
        """Returns what is wrong, why that matters and how to mend it."""
        return f"{self.headline} [{self.rule.id}]. {self.rule.why} {self.rule.mend}"


def violations(
    rule: Rule,
    manifests: Sequence[Manifest],
    exemptions: Iterable[Exemption] = EXEMPTIONS,
) -> list[Violation]:
    """Returns where one rule does not hold.

    Args:
        rule: The rule.
        manifests: All manifests that belong together: a rule of scope SET looks for partners among them.
        exemptions: Objects that may break rules.

    """
    allowed = tuple(exemptions)
    return [
        Violation(rule, finding)
        for finding in rule.check(manifests)
        if not any(exemption.covers(rule.id, finding) for exemption in allowed)
    ]


def evaluate(
    manifests: Sequence[Manifest],
    exemptions: Iterable[Exemption] = EXEMPTIONS,
    rules: Iterable[Rule] = RULES,
) -> list[Violation]:
    """Returns where any of the rules does not hold, in the order of the rules."""
    allowed = tuple(exemptions)
    return [violation for rule in rules for violation in violations(rule, manifests, allowed)]


def unused(
    manifests: Sequence[Manifest],
    exemptions: Iterable[Exemption] = EXEMPTIONS,
    rules: Iterable[Rule] = RULES,
) -> list[Exemption]:
    """Returns the exemptions that none of the manifests needs, so that the table does not outlive its reasons."""
    found = [(rule.id, finding) for rule in rules for finding in rule.check(manifests)]
    return [entry for entry in exemptions if not any(entry.covers(rule, finding) for rule, finding in found)]
