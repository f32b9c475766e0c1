"""Prometheus: scrapes every part, and keeps the rules that rollouts are judged by.

It finds PodMonitors, ServiceMonitors and rules in all namespaces, whatever their labels: the operator's own default is
to see none, and software that is installed beside the platform would wait in vain.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import pulumi
import yaml
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret, Service, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget
from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRuleArgsDict

from dashboards.rules.groups import RuleGroup
from infra import manifests, versions
from infra.components import cluster_scrapes, network, scrapes
from infra.components.base import Component
from infra.components.metadata import metadata
from infra.labels import HOSTNAME, WAIT_FOR, labels, selector
from infra.naming import ALERTMANAGER, PROMETHEUS, PROMETHEUS_PORT, Namespace, Priority
from infra.profiles import Profile

API: Final = "monitoring.coreos.com/v1"
#: User of upstream's image; ours has the same.
USER: Final = 65534
_SCRAPES: Final = "prometheus-cluster-scrapes"
_SCRAPES_KEY: Final = "scrapes.yaml"
#: Labels that the operator gives its pods: name `prometheus`, and the object's name as instance.
_SELECTOR: Final = selector(PROMETHEUS)


@dataclass(frozen=True)
class PrometheusConfig:
    """How Prometheus is run.

    Attributes:
        namespace: The namespace to put it into.
        image: Reference of the image `prometheus`.
        profile: Sizes and counts.
        storage_class: Class of its volumes.
        targets: Kinds of pods to scrape.
        rules: Recording and alerting rules, by name of the object that holds them.
        node_loss: Seconds that it stays bound to a lost node.
        receiver: Whether it takes figures that are written to it.
    """

    namespace: pulumi.Resource
    image: pulumi.Input[str]
    profile: Profile
    storage_class: pulumi.Input[str]
    targets: tuple[scrapes.PodTarget, ...]
    rules: Mapping[str, Sequence[RuleGroup]]
    node_loss: int
    receiver: bool = False


@final
@dataclass(frozen=True)
class PrometheusResources:
    """What was made."""

    account: ServiceAccount
    role: ClusterRole
    binding: ClusterRoleBinding
    scrapes: Secret
    monitors: tuple[CustomResource, ...]
    rules: tuple[CustomResource, ...]
    prometheus: CustomResource
    service: Service
    network_policy: NetworkPolicy
    disruption_budget: PodDisruptionBudget | None


class Prometheus(Component):
    """A Prometheus that is ready; the operator must be there before it."""

    def __init__(self, name: str, config: PrometheusConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it. Raises `ValueError` if two targets or two endpoints have one name."""
        check(config.targets)
        super().__init__("Prometheus", name, opts)
        self.resources = self._create(config)
        self.register_outputs({})

    def _create(self, config: PrometheusConfig) -> PrometheusResources:
        in_namespace = self.child(depends_on=[config.namespace])
        account = ServiceAccount("account", metadata=_named(PROMETHEUS), opts=in_namespace)
        role = ClusterRole("reader", metadata=metadata(PROMETHEUS, _labels()), rules=rights(), opts=self.child())
        binding = ClusterRoleBinding(
            "reader",
            metadata=metadata(PROMETHEUS, _labels()),
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": PROMETHEUS},
            subjects=[{"kind": "ServiceAccount", "name": PROMETHEUS, "namespace": Namespace.MONITORING.value}],
            opts=self.child(),
        )
        not_pods = Secret(
            "cluster-scrapes",
            metadata=_named(_SCRAPES),
            string_data={_SCRAPES_KEY: yaml.safe_dump(cluster_scrapes.cluster_scrapes(), sort_keys=False)},
            opts=in_namespace,
        )
        monitors = pod_monitors(config.targets, _named, in_namespace)
        rules = prometheus_rules(config.rules, _named, in_namespace)
        prometheus = CustomResource(
            "prometheus",
            api_version=API,
            kind="Prometheus",
            metadata=metadata(
                PROMETHEUS,
                _labels(),
                namespace=Namespace.MONITORING.value,
                annotations={WAIT_FOR: "condition=Available"},
            ),
            spec=prometheus_spec(config),
            opts=self.child(depends_on=[config.namespace, account, binding, not_pods], timeout="10m"),
        )
        service = Service(
            "prometheus",
            metadata=_named(PROMETHEUS),
            spec={
                "selector": _SELECTOR,
                "ports": [{"name": "web", "port": PROMETHEUS_PORT, "target_port": "web"}],
                # Two of them scrape at different moments; a reader that moves between them would see time go back.
                "session_affinity": "ClientIP",
            },
            opts=self.child(depends_on=[prometheus]),
        )
        network_policy = NetworkPolicy(
            "prometheus",
            metadata=_named(PROMETHEUS),
            spec=network.reached_by(
                PROMETHEUS,
                [network.from_namespaces([Namespace.MONITORING.value, Namespace.ROLLOUT.value], [PROMETHEUS_PORT])],
            ),
            opts=in_namespace,
        )
        budget = None
        if config.profile.prometheus_replicas > 1:
            budget = PodDisruptionBudget(
                "prometheus",
                metadata=_named(PROMETHEUS),
                spec={"max_unavailable": 1, "selector": {"match_labels": _SELECTOR}},
                opts=in_namespace,
            )
        return PrometheusResources(
            account, role, binding, not_pods, monitors, rules, prometheus, service, network_policy, budget
        )


def pod_monitors(
    targets: Sequence[scrapes.PodTarget], named: Callable[[str], ObjectMetaArgsDict], opts: pulumi.ResourceOptions
) -> tuple[CustomResource, ...]:
    """An object for each kind of pod that is scraped.

    Args:
        targets: Kinds of pods.
        named: Name -> metadata of an object.
        opts: Options of each.
    """
    return tuple(
        CustomResource(
            f"monitor-{target.name}",
            api_version=API,
            kind="PodMonitor",
            metadata=named(target.name),
            spec=scrapes.pod_monitor_spec(target),
            opts=opts,
        )
        for target in targets
    )


def prometheus_rules(
    rules: Mapping[str, Sequence[RuleGroup]],
    named: Callable[[str], ObjectMetaArgsDict],
    opts: pulumi.ResourceOptions,
) -> tuple[CustomResource, ...]:
    """An object for each set of rules.

    Args:
        rules: Name -> groups.
        named: Name -> metadata of an object.
        opts: Options of each.
    """
    return tuple(
        CustomResource(
            f"rules-{name}",
            api_version=API,
            kind="PrometheusRule",
            metadata=named(name),
            spec={"groups": [group.to_manifest() for group in groups]},
            opts=opts,
        )
        for name, groups in rules.items()
    )


def check(targets: Sequence[scrapes.PodTarget]) -> None:
    """Refuse targets that could not be told apart. Raises `ValueError`."""
    names = [target.name for target in targets]
    jobs = [endpoint.job for target in targets for endpoint in target.endpoints]
    for what, given in (("targets", names), ("jobs", jobs)):
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise ValueError(f"two {what} of Prometheus are named {', '.join(twice)}; each needs a name of its own")


def rights() -> list[PolicyRuleArgsDict]:
    """What Prometheus may read: where targets are, and the metrics of kubelets and of the API server."""
    return [
        {
            "api_groups": [""],
            "resources": ["nodes", "services", "endpoints", "pods"],
            "verbs": ["get", "list", "watch"],
        },
        {"api_groups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {"api_groups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"non_resource_urls": ["/metrics"], "verbs": ["get"]},
    ]


def prometheus_spec(config: PrometheusConfig) -> dict[str, Any]:
    """The specification of the `Prometheus` object."""
    profile = config.profile
    everything: dict[str, Any] = {}
    return {
        "image": config.image,
        "imagePullPolicy": "IfNotPresent",
        "version": f"v{versions.PROMETHEUS}",
        "replicas": profile.prometheus_replicas,
        "serviceAccountName": PROMETHEUS,
        "priorityClassName": Priority.OBSERVABILITY.value,
        "resources": {"requests": profile.prometheus.requests(), "limits": profile.prometheus.limits()},
        "securityContext": manifests.pod_security(USER),
        "tolerations": manifests.tolerations(config.node_loss),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": HOSTNAME,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _SELECTOR},
            }
        ],
        "scrapeInterval": f"{scrapes.SLOW}s",
        "scrapeTimeout": "10s",
        "evaluationInterval": f"{scrapes.WATCHED}s",
        "retention": profile.prometheus_retention,
        "retentionSize": profile.prometheus_retention_size,
        "walCompression": True,
        **({"enableRemoteWriteReceiver": True} if config.receiver else {}),
        "storage": {
            "volumeClaimTemplate": {
                "spec": {
                    "storageClassName": config.storage_class,
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": profile.prometheus_storage}},
                }
            }
        },
        "alerting": {"alertmanagers": [{"namespace": Namespace.MONITORING.value, "name": ALERTMANAGER, "port": "web"}]},
        "additionalScrapeConfigs": {"name": _SCRAPES, "key": _SCRAPES_KEY},
        **{
            f"{kind}{selector}": everything
            for kind in ("podMonitor", "serviceMonitor", "probe", "scrapeConfig", "rule")
            for selector in ("Selector", "NamespaceSelector")
        },
    }


def _named(name: str) -> ObjectMetaArgsDict:
    return metadata(name, _labels(), namespace=Namespace.MONITORING.value)


def _labels() -> dict[str, str]:
    return labels(PROMETHEUS, "metrics", version=versions.PROMETHEUS)
