"""The policy pack: the only place that builds Pulumi policies from the rules."""

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from infra.policy.model import Rule, Scope, finding
from infra.policy.resources import manifest_of
from infra.policy.rules import RULES, violations


def policy_of(rule: Rule) -> Policy:
    """Returns the Pulumi policy for a rule: per resource where one manifest decides, else over the whole stack.

    Pulumi prints the description (why, and how to mend it) with each violation.
    """

    def resource(args: ResourceValidationArgs, report: ReportViolation) -> None:
        manifest = manifest_of(args.resource_type, args.props)
        for violation in violations(rule, [manifest] if manifest else []):
            report(violation.headline, args.urn)

    def stack(args: StackValidationArgs, report: ReportViolation) -> None:
        found = [
            (one.urn, manifest) for one in args.resources if (manifest := manifest_of(one.resource_type, one.props))
        ]
        urns = {finding(manifest, "").subject: urn for urn, manifest in found}
        for violation in violations(rule, [manifest for _, manifest in found]):
            report(violation.headline, urns[violation.finding.subject])

    text = f"{rule.why} {rule.mend}"
    if rule.scope is Scope.OBJECT:
        return ResourceValidationPolicy(name=rule.id, description=text, validate=resource)
    return StackValidationPolicy(name=rule.id, description=text, validate=stack)


PolicyPack("slipway", [policy_of(rule) for rule in RULES], enforcement_level=EnforcementLevel.MANDATORY)
