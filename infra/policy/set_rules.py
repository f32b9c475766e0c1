"""Rules about names, and about manifests that need one another: budgets, spread, network policies, selectors."""

from collections.abc import Iterator, Mapping, Sequence

from infra.naming import DNS_LABEL_LIMIT
from infra.policy.model import (
    COLOUR_LABEL,
    Finding,
    Manifest,
    Rule,
    Scope,
    Workload,
    entries,
    finding,
    kind_of,
    name_of,
    namespace_of,
    of_kind,
    section,
    selects,
    workloads,
)

# A CronJob's Jobs and a StatefulSet's revision label carry 11 characters more than its name.
_NAME_LIMITS: Mapping[str, int] = {"CronJob": 52, "StatefulSet": 52}
_POD_NAME = "statefulset.kubernetes.io/pod-name"
# Their names are paths in the API and never become a label or a host: Kubernetes allows 253.
_LONG_NAMES = frozenset(
    {
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingWebhookConfiguration",
        "Role",
        "RoleBinding",
        "ValidatingWebhookConfiguration",
    },
)


def _names(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    for manifest in manifests:
        kind, name = kind_of(manifest), name_of(manifest)
        limit = _NAME_LIMITS.get(kind, DNS_LABEL_LIMIT)
        if kind not in _LONG_NAMES and len(name) > limit:
            yield finding(manifest, f"the name has {len(name)} characters; {limit} are allowed for a {kind}")
        labels = {**section(manifest, "metadata", "labels")}
        for workload in workloads([manifest]):
            labels |= workload.labels
        for label, value in labels.items():
            if len(str(value)) > DNS_LABEL_LIMIT:
                yield finding(
                    manifest, f"the label {label} has {len(str(value))} characters; {DNS_LABEL_LIMIT} are allowed"
                )


def _replicated(manifests: Sequence[Manifest]) -> list[Workload]:
    """Returns the workloads of which one pod may be taken while others go on."""
    return [workload for workload in workloads(manifests) if workload.replicas is not None and workload.replicas > 1]


def _budgets(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for workload in _replicated(manifests):
        own = [
            budget
            for budget in budgets
            if namespace_of(budget) == workload.namespace
            and selects(section(budget, "spec", "selector"), workload.labels)
        ]
        if not own:
            yield workload.finding(f"has {workload.replicas} replicas and no PodDisruptionBudget")
        if len(own) > 1:
            names = ", ".join(name_of(budget) for budget in own)
            yield workload.finding(f"has several PodDisruptionBudgets ({names}); evictions then fail")
        for budget in own:
            spec = section(budget, "spec")
            if spec.get("maxUnavailable") in {0, "0%"} or spec.get("minAvailable") in {workload.replicas, "100%"}:
                yield finding(budget, f"lets no pod of {workload.kind} {workload.name} go; no node could be drained")


def _spread(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    for workload in _replicated(manifests):
        constraints = entries(workload.spec, "topologySpreadConstraints")
        if not constraints and not section(workload.spec, "affinity", "podAntiAffinity"):
            yield workload.finding(f"has {workload.replicas} replicas that may all land on one node")
        for constraint in constraints:
            # The selector need not name the colour when matchLabelKeys does.
            if not selects(section(constraint, "labelSelector"), workload.labels):
                yield workload.finding("spreads by labels that its own pods do not have; the constraint does nothing")


def _network_policies(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    policies = of_kind(manifests, "NetworkPolicy")
    for workload in workloads(manifests):
        covered = any(
            namespace_of(policy) == workload.namespace
            and "Ingress" in (section(policy, "spec").get("policyTypes") or ("Ingress",))
            and selects(section(policy, "spec", "podSelector"), workload.labels)
            for policy in policies
        )
        if not covered:
            yield workload.finding("is selected by no NetworkPolicy: every pod of the cluster may reach it")


def _family(workload: Workload) -> tuple[str, ...]:
    """Returns what makes workloads one family: both colours of a service are one, its migrations are another."""
    labels = workload.labels
    if "app.kubernetes.io/name" not in labels:
        return (workload.kind, workload.name)
    role = labels.get("slipway.dev/role", labels.get("app.kubernetes.io/component", ""))
    return (labels["app.kubernetes.io/name"], labels.get("app.kubernetes.io/instance", ""), role)


def _services(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    every = list(workloads(manifests))
    for service in of_kind(manifests, "Service"):
        selector = {**section(service, "spec", "selector")}
        if not selector:  # endpoints are made by hand or by an operator
            continue
        # A colour may have no version yet, so its Service may select nothing: what counts is the family.
        selector.pop(COLOUR_LABEL, None)
        # The StatefulSet's controller gives each pod its own name as a label; no template can have it.
        selector.pop(_POD_NAME, None)
        found = {
            _family(workload)
            for workload in every
            if workload.namespace == namespace_of(service) and selects({"matchLabels": selector}, workload.labels)
        }
        if len(found) != 1:
            names = ", ".join("/".join(family) for family in sorted(found)) or "none"
            yield finding(service, f"its selector matches {len(found)} families of workloads ({names}) instead of one")


SET_RULES: tuple[Rule, ...] = (
    Rule(
        id="name-length",
        scope=Scope.OBJECT,
        why="Names become labels and host names, which end at 63 characters; longer ones fail late and far away.",
        mend="Shorten the name of the release or of the object.",
        check=_names,
    ),
    Rule(
        id="disruption-budget",
        scope=Scope.SET,
        why="Without a budget a drain takes all replicas at once; with one that lets none go it never ends.",
        mend="Add one PodDisruptionBudget that selects the pods, with maxUnavailable of at least 1.",
        check=_budgets,
    ),
    Rule(
        id="topology-spread",
        scope=Scope.OBJECT,
        why="Replicas on one node are lost together.",
        mend="Add topologySpreadConstraints over kubernetes.io/hostname that select the workload's own pods.",
        check=_spread,
    ),
    Rule(
        id="network-policy",
        scope=Scope.SET,
        why="Without a policy that selects it, a pod is open to every other pod of the cluster.",
        mend="Add a NetworkPolicy in the namespace: default deny, and the openings that are needed.",
        check=_network_policies,
    ),
    Rule(
        id="service-selects-one-family",
        scope=Scope.SET,
        why="A selector that matches nothing answers 503; one that matches a stranger sends it requests.",
        mend="Make the selector name the workload's app.kubernetes.io/name, app.kubernetes.io/instance and role.",
        check=_services,
    ),
)
