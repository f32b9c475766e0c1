"""What the controller needs in a cluster, as plain data for whoever applies it: CRD, rights, Deployment, admission.

Rights are given per environment (a RoleBinding in its namespace), so a controller reaches nothing else. People's rights
are separate verbs on the Rollout: `start`, `approve`, `abort`; an admission policy holds them apart and makes sure that
`by` is who sent the order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from pydantic.alias_generators import to_camel

from slipway.rollout import switch
from slipway.rollout.resource import GROUP, PLURAL, VERSION, crd
from slipway.rollout.spec import RolloutSpec

NAME: Final = "slipway-rollout"
LABELS: Final = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "slipway"}
ORDERS: Final = ("approve", "abort")
USER: Final = 10001
PROMETHEUS_VOLUME: Final = "prometheus"
_PROMETHEUS: Final = f"/run/secrets/{PROMETHEUS_VOLUME}"

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How the controller is installed.

    Attributes:
        image: of the controller, by digest.
        environments: namespaces that hold Rollouts.
        namespace: of the controller itself.
        ingress_namespace: of the HAProxy pods.
        haproxy_selector: labels of the HAProxy pods.
        secrets: names of Secrets that Rollouts name in `spec.config`; the controller reads no others.
        prometheus: address of Prometheus; None judges by the routers' counts alone, unless a Secret has it.
        prometheus_secret: Secret with `url` and maybe `token` and `ca.crt` of a Prometheus of others, in the
            controller's namespace.
        reader_secret: Secret with `token` and `ca.crt` of the observers, in the controller's namespace.
        priority_class: of the controller's pods.
    """

    image: str
    environments: Sequence[str]
    namespace: str = "slipway-system"
    ingress_namespace: str = "ingress"
    haproxy_selector: str = "app.kubernetes.io/name=haproxy"
    secrets: Sequence[str] = ()
    prometheus: str | None = None
    prometheus_secret: str | None = None
    reader_secret: str = "ingress-observer-reader"  # noqa: S105 - the name of a Secret
    priority_class: str | None = None


def _object(api: str, kind: str, name: str, namespace: str | None = None, **content: Any) -> Manifest:
    metadata: Manifest = {"name": name, "labels": dict(LABELS)}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Manifest:
    rule: Manifest = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    if names:
        rule["resourceNames"] = list(names)
    return rule


def _bound(kind: str, name: str, namespace: str | None, role: str, installation: Installation) -> Manifest:
    return _object(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding" if namespace is None else "RoleBinding",
        name,
        namespace,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": installation.namespace}],
    )


def environment_rules(installation: Installation) -> list[Manifest]:
    """Return the rules that hold in an environment's namespace; each is a request that `cluster.py` makes."""
    rules = [
        _rule(GROUP, [PLURAL], ["get"]),
        _rule(GROUP, [f"{PLURAL}/status"], ["update"]),
        _rule("", ["services"], ["get", "patch"]),
        _rule("", ["podtemplates"], ["get", "list", "create", "patch", "delete"]),
        _rule("", ["configmaps"], ["get", "create"]),
        _rule("", ["pods"], ["list"]),
        _rule("", ["events"], ["create"]),
        _rule("apps", ["deployments"], ["get", "list", "create", "update", "patch"]),
        _rule("batch", ["jobs"], ["list", "create"]),
        _rule("autoscaling", ["horizontalpodautoscalers"], ["list", "create", "update", "delete"]),
    ]
    if installation.secrets:
        rules += [_rule("", ["secrets"], ["get"], installation.secrets), _rule("", ["secrets"], ["create"])]
    return rules


def worker_rules(rollout: str) -> list[Manifest]:
    """Return the rules that a service with workers adds; its chart gives them, where its Rollout is."""
    return [_rule("", ["configmaps"], ["update"], [switch.name_of(rollout)]), _rule("", ["pods"], ["patch"])]


def rights(installation: Installation) -> list[Manifest]:
    """Return the service account and everything it may do."""
    rbac = "rbac.authorization.k8s.io/v1"
    everywhere = [_rule(GROUP, [PLURAL], ["list", "watch"])]
    own = [
        _rule("coordination.k8s.io", ["leases"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], ["get", "update"], [NAME]),
    ]
    found = [
        _object("v1", "ServiceAccount", NAME, installation.namespace, automountServiceAccountToken=False),
        _object(rbac, "ClusterRole", NAME, rules=everywhere),
        _bound("ClusterRole", NAME, None, NAME, installation),
        _object(rbac, "ClusterRole", f"{NAME}-environment", rules=environment_rules(installation)),
        _object(rbac, "Role", NAME, installation.namespace, rules=own),
        _bound("Role", NAME, installation.namespace, NAME, installation),
        _object(rbac, "Role", NAME, installation.ingress_namespace, rules=[_rule("", ["pods"], ["list"])]),
        _bound("Role", NAME, installation.ingress_namespace, NAME, installation),
    ]
    found += [
        _bound("ClusterRole", NAME, environment, f"{NAME}-environment", installation)
        for environment in installation.environments
    ]
    return found


def people() -> list[Manifest]:
    """Return the roles for people and pipelines, to be bound by whoever knows them."""
    rbac = "rbac.authorization.k8s.io/v1"
    look = _rule(GROUP, [PLURAL], ["get", "list", "watch"])
    # What a version's report compares; it names secrets, it holds none.
    templates = _rule("", ["podtemplates"], ["get"])
    roles = {
        "viewer": [look, templates, _rule("", ["events"], ["get", "list", "watch"])],
        "starter": [look, templates, _rule(GROUP, [PLURAL], ["create", "patch", "update", "start"])],
        "approver": [look, _rule(GROUP, [PLURAL], ["patch", "approve"])],
        # What `slipway preflight` looks at; no secrets, and nothing that changes anything.
        "preflight": [
            look,
            _rule("", ["pods", "services"], ["list"]),
            _rule("apps", ["deployments"], ["list"]),
            _rule("networking.k8s.io", ["ingresses", "networkpolicies"], ["list"]),
            _rule("policy", ["poddisruptionbudgets"], ["list"]),
        ],
        # Bound in Prometheus' namespace: alerts that fire, through the API server.
        "listener": [_rule("", ["services/proxy"], ["get"], ["prometheus:9090"])],
        "aborter": [look, _rule(GROUP, [PLURAL], ["patch", "abort"])],
    }
    return [_object(rbac, "ClusterRole", f"{NAME}-{name}", rules=rules) for name, rules in roles.items()]


def _changed(field: str) -> str:
    new, old = f"object.spec.{field}", f"oldObject.spec.{field}"
    return f"(has({new}) != has({old}) || (has({new}) && {new} != {old}))"


def admission() -> list[Manifest]:
    """Return the policy that keeps start, approve and abort apart, and orders honest about who gave them."""
    api = "admissionregistration.k8s.io/v1"
    others = [to_camel(found.name) for found in fields(RolloutSpec) if found.name not in ORDERS]
    variables = [
        {"name": "starts", "expression": "oldObject == null || " + " || ".join(_changed(name) for name in others)},
    ]
    check = (
        f"authorizer.group('{GROUP}').resource('{PLURAL}').namespace(object.metadata.namespace)"
        ".name(object.metadata.name).check('{verb}').allowed()"
    )
    validations = [
        {
            "expression": "!variables.starts || " + check.replace("{verb}", "start"),
            "message": "you may not start or change this rollout: the verb 'start' on rollouts.slipway.dev is needed",
        },
    ]
    for order in ORDERS:
        given = f"has(object.spec.{order}) && (oldObject == null || {_changed(order)})"
        variables.append({"name": order, "expression": given})
        validations += [
            {
                "expression": f"!variables.{order} || " + check.replace("{verb}", order),
                "message": f"you may not {order} this rollout: the verb '{order}' on rollouts.slipway.dev is needed",
            },
            {
                "expression": f"!variables.{order} || object.spec.{order}.by == request.userInfo.username",
                "messageExpression": f"'spec.{order}.by must be yourself: ' + request.userInfo.username",
                "message": f"spec.{order}.by must be yourself",
            },
        ]
    policy = _object(
        api,
        "ValidatingAdmissionPolicy",
        f"{NAME}-orders",
        spec={
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": [VERSION],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": [PLURAL],
                    },
                ],
            },
            "variables": variables,
            "validations": validations,
        },
    )
    binding = _object(
        api,
        "ValidatingAdmissionPolicyBinding",
        f"{NAME}-orders",
        spec={"policyName": f"{NAME}-orders", "validationActions": ["Deny"]},
    )
    return [policy, binding]


def arguments(installation: Installation) -> list[str]:
    """Return the controller's command line."""
    found = [
        f"--namespace={installation.namespace}",
        f"--haproxy-namespace={installation.ingress_namespace}",
        f"--haproxy-selector={installation.haproxy_selector}",
        "--reader=observer",
        "--reader-secret-file=/run/secrets/reader/token",
        "--reader-ca-file=/run/secrets/reader/ca.crt",
        f"--reader-server-name=ingress-observer.{installation.ingress_namespace}.svc",
    ]
    if installation.prometheus is not None:
        found.append(f"--prometheus={installation.prometheus}")
    if installation.prometheus_secret is not None:
        found.append(f"--prometheus-url-file={_PROMETHEUS}/url")
    return found


def deployment(installation: Installation) -> list[Manifest]:
    """Return the two controllers, their budget for disruptions, and the Service their metrics are scraped by."""
    labels = dict(LABELS)
    secrets = [("reader", installation.reader_secret)]
    if installation.prometheus_secret is not None:
        secrets.append((PROMETHEUS_VOLUME, installation.prometheus_secret))
    container: Manifest = {
        "name": "controller",
        "image": installation.image,
        "args": arguments(installation),
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "metrics", "containerPort": 9090}],
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "metrics"}, "periodSeconds": 10, "timeoutSeconds": 3},
        "readinessProbe": {"httpGet": {"path": "/livez", "port": "metrics"}, "periodSeconds": 5, "timeoutSeconds": 3},
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": name, "mountPath": f"/run/secrets/{name}", "readOnly": True} for name, _ in secrets],
    }
    pod: Manifest = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 20,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            },
        ],
        "containers": [container],
        "volumes": [{"name": name, "secret": {"secretName": it, "defaultMode": 0o440}} for name, it in secrets],
    }
    if installation.priority_class is not None:
        pod["priorityClassName"] = installation.priority_class
    selector = {"app.kubernetes.io/name": NAME}
    return [
        _object(
            "apps/v1",
            "Deployment",
            NAME,
            installation.namespace,
            spec={
                "replicas": 2,
                "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        ),
        _object(
            "policy/v1",
            "PodDisruptionBudget",
            NAME,
            installation.namespace,
            spec={"maxUnavailable": 1, "selector": {"matchLabels": selector}},
        ),
        _object(
            "v1",
            "Service",
            NAME,
            installation.namespace,
            spec={"clusterIP": "None", "selector": selector, "ports": [{"name": "metrics", "port": 9090}]},
        ),
    ]


def everything(installation: Installation) -> list[Manifest]:
    """Return all of it in the order of applying; the namespaces are the platform's."""
    return [crd(), *rights(installation), *people(), *admission(), *deployment(installation)]
