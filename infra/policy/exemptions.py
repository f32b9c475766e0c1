"""What may break a rule, and why. Each entry is one decision; an entry that nothing needs any more is to be deleted."""

from dataclasses import dataclass

from infra.policy.model import Finding


@dataclass(frozen=True)
class Exemption:
    """One object that one rule does not hold for. All four of rule, kind, namespace and name are exact."""

    rule: str
    kind: str
    namespace: str
    name: str
    reason: str

    def covers(self, rule: str, finding: Finding) -> bool:
        """Returns whether a finding of a rule is the one that this entry allows."""
        return (rule, finding.kind, finding.namespace, finding.name) == (
            self.rule,
            self.kind,
            self.namespace,
            self.name,
        )


_SPEAKER = ("DaemonSet", "metallb-system", "speaker")
_METALLB = ("Deployment", "metallb-system", "controller")
_LOG_COLLECTOR = ("DaemonSet", "node-logs", "log-collector")
_POSTGRES_OPERATOR = ("Deployment", "cnpg-system", "cnpg-controller-manager")

EXEMPTIONS: tuple[Exemption, ...] = (
    Exemption("no-host-access", *_SPEAKER, "It answers for addresses on the node's own network, so it must be there."),
    Exemption("restricted", *_SPEAKER, "Announcing an address takes raw packets (NET_RAW); upstream sets no seccomp."),
    Exemption("non-root", *_SPEAKER, "NET_RAW reaches only root without file capabilities, which its image lacks."),
    Exemption("network-policy", *_SPEAKER, "Policies do not reach pods on the node's own network."),
    Exemption("no-service-account-token", *_SPEAKER, "It reads address pools and Services, and elects by memberlist."),
    Exemption("no-service-account-token", *_METALLB, "It gives addresses to Services."),
    Exemption("restricted", *_METALLB, "Upstream drops capabilities in lower case (`all`) and sets no seccomp."),
    Exemption(
        "network-policy",
        *_METALLB,
        "Its only caller is the API server (webhooks), which is no pod: a policy would have to name its address.",
    ),
    Exemption("no-service-account-token", *_POSTGRES_OPERATOR, "It is the operator of the Postgres clusters."),
    Exemption(
        "network-policy",
        *_POSTGRES_OPERATOR,
        "Its only caller is the API server (webhooks), which is no pod: a policy would have to name its address.",
    ),
    *(
        Exemption(
            "no-host-access",
            kind,
            "node-metrics",
            "node-exporter",
            "It tells a machine's figures out of the machine's files, read only, in a namespace that has nothing else.",
        )
        for kind in ("DaemonSet", "Deployment")
    ),
    Exemption("no-host-access", *_LOG_COLLECTOR, "It reads what pods print where the kubelet puts it, read only."),
    Exemption(
        "non-root", *_LOG_COLLECTOR, "Those files are root's and nobody else may read them; it drops every power."
    ),
    Exemption("restricted", *_LOG_COLLECTOR, "The two above; its namespace has nothing else."),
    Exemption(
        "no-secret-in-env",
        "StatefulSet",
        "backups",
        "object-store",
        "The gateway takes its account from its environment or its command line and from nowhere else; it is the only "
        "program of its container and starts no other.",
    ),
    Exemption(
        "network-policy",
        "Deployment",
        "monitoring",
        "metrics-server",
        "Its only caller is the API server, which is no pod: a policy would have to name its address.",
    ),
    Exemption(
        "service-selects-one-family", "Service", "monitoring", "prometheus", "Its pods are made by the operator."
    ),
    Exemption(
        "service-selects-one-family", "Service", "monitoring", "alertmanager", "Its pods are made by the operator."
    ),
)
