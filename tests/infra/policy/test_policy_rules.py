"""Each rule against one set of manifests that keeps it and at least one that breaks it."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from infra.policy.exemptions import EXEMPTIONS, Exemption
from infra.policy.model import Scope, selects
from infra.policy.pod_rules import NEEDS_API_ANNOTATION
from infra.policy.rules import RULES, evaluate, unused, violations

DIGEST = "registry.example.test/app@sha256:" + "0" * 64
LABELS = {"app.kubernetes.io/name": "app", "app.kubernetes.io/instance": "app", "slipway.dev/role": "web"}

CONTAINER = {
    "name": "service",
    "image": DIGEST,
    "env": [{"name": "DATABASE_PASSWORD_FILE", "value": "/run/secrets/password"}],
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
    "livenessProbe": {"httpGet": {"path": "/livez", "port": 8080}},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "app-blue", "namespace": "dev", "labels": LABELS},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": {**LABELS, "slipway.dev/colour": "blue"}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "topologySpreadConstraints": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": LABELS}},
                ],
                "containers": [CONTAINER],
            },
        },
    },
}
BUDGET = {
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "app", "namespace": "dev"},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}},
}
POLICY = {
    "kind": "NetworkPolicy",
    "metadata": {"name": "app", "namespace": "dev"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
SERVICE = {
    "kind": "Service",
    "metadata": {"name": "app", "namespace": "dev"},
    "spec": {"selector": LABELS},
}
CONFIG = {
    "kind": "ConfigMap",
    "metadata": {"name": "app", "namespace": "dev"},
    "data": {"LOG_LEVEL": "info", "haproxy.cfg": "password x"},
}
GOOD = [DEPLOYMENT, BUDGET, POLICY, SERVICE, CONFIG]

POD = ("spec", "template", "spec")
FIRST = (*POD, "containers", 0)


def changed(manifest: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Returns a copy with the value at `path` replaced, or removed when the value is None."""
    result = copy.deepcopy(manifest)
    here: Any = result
    for key in path[:-1]:
        here = here[key]
    if value is None:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return result


def broken(path: tuple[str | int, ...], value: object) -> list[dict[str, Any]]:
    """Returns the good set with one change in its Deployment."""
    return [changed(DEPLOYMENT, path, value), *GOOD[1:]]


def replaced(index: int, path: tuple[str | int, ...], value: object) -> list[dict[str, Any]]:
    """Returns the good set with one change in the manifest at `index`."""
    return [changed(one, path, value) if number == index else one for number, one in enumerate(GOOD)]


@dataclass(frozen=True)
class Bad:
    """A set that breaks `rule` in exactly one place, and a part of what the finding must say."""

    rule: str
    tells: str
    manifests: list[dict[str, Any]]


BAD = [
    Bad("non-root", "may run as root", broken((*POD, "securityContext", "runAsNonRoot"), None)),
    Bad("non-root", "may run as root", broken((*FIRST, "securityContext", "runAsNonRoot"), False)),
    Bad("non-root", "runAsUser 0", broken((*POD, "securityContext", "runAsUser"), 0)),
    Bad(
        "non-root",
        "container early",
        broken((*POD, "initContainers"), [{"name": "early", "securityContext": {"runAsNonRoot": False}}]),
    ),
    Bad("read-only-root", "may write", broken((*FIRST, "securityContext", "readOnlyRootFilesystem"), None)),
    Bad("restricted", "may gain privileges", broken((*FIRST, "securityContext", "allowPrivilegeEscalation"), None)),
    Bad("restricted", "does not drop ALL", broken((*FIRST, "securityContext", "capabilities"), {"drop": ["KILL"]})),
    Bad("restricted", "NET_RAW", broken((*FIRST, "securityContext", "capabilities", "add"), ["NET_RAW"])),
    Bad("restricted", "seccomp", broken((*POD, "securityContext", "seccompProfile"), None)),
    Bad("no-host-access", "hostNetwork", broken((*POD, "hostNetwork"), True)),
    Bad("no-host-access", "/var/log", broken((*POD, "volumes"), [{"name": "logs", "hostPath": {"path": "/var/log"}}])),
    Bad("no-host-access", "privileged", broken((*FIRST, "securityContext", "privileged"), True)),
    Bad("no-host-access", "port 80", broken((*FIRST, "ports"), [{"containerPort": 80, "hostPort": 80}])),
    Bad("requests-and-limits", "no requests for cpu and memory", broken((*FIRST, "resources", "requests"), None)),
    Bad("requests-and-limits", "no limits for memory", broken((*FIRST, "resources", "limits"), {"cpu": "1"})),
    Bad("probes", "no readinessProbe", broken((*FIRST, "readinessProbe"), None)),
    Bad("probes", "no livenessProbe", broken((*FIRST, "livenessProbe"), None)),
    Bad("image-pinned", "app:latest", broken((*FIRST, "image"), "registry.example.test/app:latest")),
    Bad("image-pinned", "'app'", broken((*FIRST, "image"), "app")),
    Bad("image-pinned", ":5000/app'", broken((*FIRST, "image"), "registry.example.test:5000/app")),
    Bad("no-service-account-token", "token", broken((*POD, "automountServiceAccountToken"), None)),
    Bad("no-secret-in-env", "API_TOKEN holds", broken((*FIRST, "env"), [{"name": "API_TOKEN", "value": "hunter2"}])),
    Bad(
        "no-secret-in-env",
        "URL with a password",
        broken((*FIRST, "env"), [{"name": "DATABASE_URL", "value": "postgresql://u:p@db/x"}]),
    ),
    Bad(
        "no-secret-in-env",
        "X from a Secret",
        broken((*FIRST, "env"), [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s"}}}]),
    ),
    Bad("no-secret-in-env", "all of Secret s", broken((*FIRST, "envFrom"), [{"secretRef": {"name": "s"}}])),
    Bad("no-secret-in-env", "DB_PASSWORD", replaced(4, ("data", "DB_PASSWORD"), "hunter2")),
    Bad("name-length", "64 characters", replaced(3, ("metadata", "name"), "a" * 64)),
    Bad("name-length", "52 are allowed for a CronJob", [{"kind": "CronJob", "metadata": {"name": "a" * 53}}]),
    Bad("name-length", "label tier", broken(("spec", "template", "metadata", "labels", "tier"), "a" * 64)),
    Bad("disruption-budget", "no PodDisruptionBudget", [DEPLOYMENT, *GOOD[2:]]),
    Bad("disruption-budget", "no PodDisruptionBudget", replaced(1, ("metadata", "namespace"), "other")),
    Bad("disruption-budget", "no pod of Deployment app-blue go", replaced(1, ("spec", "maxUnavailable"), 0)),
    Bad("disruption-budget", "several", [*GOOD, changed(BUDGET, ("metadata", "name"), "twin")]),
    Bad("topology-spread", "one node", broken((*POD, "topologySpreadConstraints"), None)),
    Bad(
        "topology-spread",
        "does nothing",
        broken((*POD, "topologySpreadConstraints", 0, "labelSelector"), {"matchLabels": {"a": "b"}}),
    ),
    Bad("network-policy", "every pod", [DEPLOYMENT, BUDGET, SERVICE]),
    Bad("network-policy", "every pod", replaced(2, ("spec", "policyTypes"), ["Egress"])),
    Bad("network-policy", "every pod", replaced(2, ("spec", "podSelector"), {"matchLabels": {"a": "b"}})),
    Bad(
        "service-selects-one-family",
        "0 families",
        replaced(3, ("spec", "selector"), {**LABELS, "slipway.dev/role": "wbe"}),
    ),
    Bad(
        "service-selects-one-family",
        "2 families",
        [
            *replaced(3, ("spec", "selector"), {"app.kubernetes.io/name": "app"}),
            {
                "kind": "Job",
                "metadata": {"name": "m", "namespace": "dev"},
                "spec": {"template": {"metadata": {"labels": {**LABELS, "slipway.dev/role": "migration"}}}},
            },
        ],
    ),
]

BY_ID = {rule.id: rule for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_good_set_keeps_rule(rule):
    assert violations(rule, GOOD, ()) == []


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.rule}: {bad.tells}")
def test_bad_set_breaks_its_rule_once(bad):
    found = evaluate(bad.manifests, ())
    own = [str(violation) for violation in found if violation.rule.id == bad.rule]
    assert len(own) == 1, own
    assert bad.tells in own[0]


def test_every_rule_has_a_good_and_a_bad_set():
    # One good set serves all rules: it would keep a rule idly if it held nothing the rule looks at, so each must be
    # breakable by a change of that very set.
    assert {bad.rule for bad in BAD} == set(BY_ID)


def test_every_rule_says_who_it_is_why_and_how_to_mend():
    assert len(BY_ID) == len(RULES)
    for rule in RULES:
        assert rule.id == rule.id.lower().replace(" ", "-")
        assert rule.why.endswith(".")
        assert rule.mend.endswith(".")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.scope is Scope.OBJECT], ids=lambda rule: rule.id)
def test_object_rules_answer_the_same_one_by_one(rule):
    # The policy pack asks them one manifest at a time.
    for bad in (bad for bad in BAD if bad.rule == rule.id):
        alone = [violation for one in bad.manifests for violation in violations(rule, [one], ())]
        assert alone == violations(rule, bad.manifests, ())


def test_violation_names_object_finding_rule_and_remedy():
    [violation] = evaluate(broken((*FIRST, "image"), "app:latest"), ())
    text = str(violation)
    for part in ("Deployment dev/app-blue", "container service", "'app:latest'", "[image-pinned]", "by digest"):
        assert part in text


def test_declared_need_of_the_api_is_allowed():
    manifests = broken((*POD, "automountServiceAccountToken"), True)
    manifests[0]["spec"]["template"]["metadata"]["annotations"] = {NEEDS_API_ANNOTATION: "watches Rollouts"}
    assert evaluate(manifests, ()) == []


def test_jobs_need_no_probes_and_single_replicas_no_budget():
    job = {
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "dev"},
        "spec": {"template": DEPLOYMENT["spec"]["template"]},
    }
    del (job := copy.deepcopy(job))["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    one = changed(DEPLOYMENT, ("spec", "replicas"), 1)
    assert evaluate([job, one, POLICY], ()) == []


def test_exemption_covers_one_rule_of_one_object():
    exemption = Exemption("image-pinned", "Deployment", "dev", "app-blue", "for the test")
    manifests = [changed(DEPLOYMENT, (*FIRST, "image"), "app:latest"), *GOOD[1:]]
    assert evaluate(manifests, [exemption]) == []
    assert unused(manifests, [exemption]) == []
    other = changed(manifests[0], ("metadata", "name"), "app-green")
    assert [str(one.finding.name) for one in evaluate([other, *GOOD[1:]], [exemption])] == ["app-green"]
    assert unused([other, *GOOD[1:]], [exemption]) == [exemption]


def test_exemptions_name_rules_that_exist_and_give_a_reason():
    assert len({(entry.rule, entry.kind, entry.namespace, entry.name) for entry in EXEMPTIONS}) == len(EXEMPTIONS)
    for entry in EXEMPTIONS:
        assert entry.rule in BY_ID
        assert entry.reason.endswith(".")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "a", "operator": "In", "values": ["1", "2"]}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "operator": "DoesNotExist"}, False),
        ({"key": "b", "operator": "DoesNotExist"}, True),
    ],
)
def test_selectors_with_expressions(expression, expected):
    assert selects({"matchExpressions": [expression]}, {"a": "1"}) is expected


def test_selector_with_unknown_operator_is_refused():
    with pytest.raises(ValueError, match="operator 'Near'; allowed are In"):
        selects({"matchExpressions": [{"key": "a", "operator": "Near"}]}, {"a": "1"})
