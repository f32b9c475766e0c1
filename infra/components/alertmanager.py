"""Alertmanager: takes alerts from Prometheus, puts them together, and tells whoever is on call.

Whom it tells is one webhook, whose address is a secret: it stands in a Secret of the namespace `monitoring` that the
setting `alertReceiver` names, never in Pulumi's state. Without one it only keeps the alerts for people who look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
import yaml
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret, Service, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from dashboards.rules.groups import Severity
from infra import manifests, versions
from infra.components import network
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import WAIT_FOR, labels, selector
from infra.naming import ALERTMANAGER, ALERTMANAGER_PORT, Namespace, Priority
from infra.profiles import Profile

API: Final = "monitoring.coreos.com/v1"
#: User of upstream's image; ours has the same.
USER: Final = 65534
#: Key of the receiver's Secret, and where the operator mounts it.
RECEIVER_KEY: Final = "url"
_SECRETS: Final = "/etc/alertmanager/secrets"  # a path
_CONFIG: Final = "alertmanager-routing"
_KEY: Final = "alertmanager.yaml"
_NOBODY: Final = "nobody"
_WEBHOOK: Final = "webhook"


@dataclass(frozen=True)
class AlertmanagerConfig:
    """How Alertmanager is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `alertmanager`.
        profile: Sizes.
        receiver: Name of the Secret with the webhook's address; None tells nobody.
        node_loss: Seconds that it stays bound to a lost node.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    receiver: str | None
    node_loss: int


@final
@dataclass(frozen=True)
class AlertmanagerResources:
    """What was made."""

    account: ServiceAccount
    routing: Secret
    alertmanager: CustomResource
    service: Service
    network_policy: NetworkPolicy


class Alertmanager(Component):
    """An Alertmanager that is ready; the operator must be there before it."""

    def __init__(self, name: str, config: AlertmanagerConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it."""
        super().__init__("Alertmanager", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: AlertmanagerConfig) -> AlertmanagerResources:
        in_namespace = self.child(depends_on=[config.namespace])
        account = ServiceAccount(
            "account", metadata=_named(ALERTMANAGER), automount_service_account_token=False, opts=in_namespace
        )
        secret = Secret(
            "routing",
            metadata=_named(_CONFIG),
            string_data={_KEY: yaml.safe_dump(routing(config.receiver), sort_keys=False)},
            opts=in_namespace,
        )
        alertmanager = CustomResource(
            "alertmanager",
            api_version=API,
            kind="Alertmanager",
            metadata=metadata(
                ALERTMANAGER,
                _labels(),
                namespace=Namespace.MONITORING.value,
                annotations={WAIT_FOR: "condition=Available"},
            ),
            spec=spec(config),
            opts=self.child(depends_on=[config.namespace, account, secret], timeout="10m"),
        )
        service = Service(
            "alertmanager",
            metadata=_named(ALERTMANAGER),
            spec={
                "selector": selector(ALERTMANAGER),
                "ports": [{"name": "web", "port": ALERTMANAGER_PORT, "target_port": "web"}],
            },
            opts=self.child(depends_on=[alertmanager]),
        )
        policy = NetworkPolicy(
            "alertmanager",
            metadata=_named(ALERTMANAGER),
            spec=network.reached_by(
                ALERTMANAGER, [network.from_namespaces([Namespace.MONITORING.value], [ALERTMANAGER_PORT])]
            ),
            opts=in_namespace,
        )
        return AlertmanagerResources(account, secret, alertmanager, service, policy)


def routing(receiver: str | None) -> dict[str, Any]:
    """Who is told of what, in Alertmanager's own notation.

    Args:
        receiver: Name of the Secret with the webhook's address; None tells nobody.
    """
    told = _WEBHOOK if receiver else _NOBODY
    receivers: list[dict[str, Any]] = [{"name": _NOBODY}]
    if receiver:
        hook = {"url_file": f"{_SECRETS}/{receiver}/{RECEIVER_KEY}", "send_resolved": True}
        receivers.append({"name": _WEBHOOK, "webhook_configs": [hook]})
    by_subject = ["alertname", "namespace", "service"]
    return {
        "route": {
            "receiver": told,
            "group_by": by_subject,
            # Long enough for what breaks together to come together, short enough to be no part of the outage.
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "12h",
            "routes": [
                {"matchers": [_severity(Severity.PAGE)], "group_wait": "5s", "repeat_interval": "1h"},
                # A receiver that hears nothing for longer than this knows that alerts do not get through.
                {"matchers": [_severity(Severity.NONE)], "repeat_interval": "5m"},
            ],
        },
        "inhibit_rules": [
            # Whoever is paged for a service needs no ticket about it.
            {
                "source_matchers": [_severity(Severity.PAGE)],
                "target_matchers": [_severity(Severity.TICKET)],
                "equal": ["namespace", "service", "alertname"],
            },
            # Without an ingress nothing is reached: one page says so.
            {
                "source_matchers": ["alertname = IngressDown"],
                "target_matchers": ["alertname =~ ServiceFailing|ServiceUnreachable|IngressNotRedundant"],
            },
            {
                "source_matchers": ["alertname = PostgresNoReplica"],
                "target_matchers": ["alertname = PostgresReplicaMissing"],
            },
        ],
        "receivers": receivers,
    }


def spec(config: AlertmanagerConfig) -> Mapping[str, Any]:
    """The specification of the `Alertmanager` object."""
    size = config.profile.alertmanager
    return {
        "image": config.image,
        "imagePullPolicy": "IfNotPresent",
        "version": f"v{versions.ALERTMANAGER}",
        "replicas": config.profile.alertmanager_replicas,
        "serviceAccountName": ALERTMANAGER,
        "automountServiceAccountToken": False,
        "configSecret": _CONFIG,
        "secrets": [config.receiver] if config.receiver else [],
        "priorityClassName": Priority.OBSERVABILITY.value,
        "resources": {"requests": size.requests(), "limits": size.limits()},
        "securityContext": manifests.pod_security(USER),
        "tolerations": manifests.tolerations(config.node_loss),
        "retention": "120h",
    }


def _severity(severity: Severity) -> str:
    return f"severity = {severity.value}"


def _named(name: str) -> ObjectMetaArgsDict:
    return metadata(name, _labels(), namespace=Namespace.MONITORING.value)


def _labels() -> dict[str, str]:
    return labels(ALERTMANAGER, "metrics", version=versions.ALERTMANAGER)
