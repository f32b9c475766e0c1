"""What measures: which objects there are, that everything is scraped once, and that `off` leaves nothing behind."""

import re

import pytest
import yaml
from infra_stand_ins import CLOUD, SHARED

from dashboards.rules import certificates
from dashboards.rules.present import Present
from infra import naming
from infra.components import scrapes
from infra.components.metrics import targets
from infra.components.platform import Platform, PlatformConfig
from infra.components.prometheus import check
from infra.images import CATALOGUE, METRICS_IMAGES, repository
from infra.parts import ExternalMetrics, Store
from infra.profiles import PROFILES, ProfileName
from infra.settings import PlatformSettings

OBSERVER_IMAGE = "registry.test/ingress-observer@sha256:" + "0" * 64

METRICS = {
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": 10,
    "kubernetes:apiregistration.k8s.io/v1:APIService": 1,
    "kubernetes:apps/v1:Deployment": 4,
    "kubernetes:core/v1:Namespace": 2,
    "kubernetes:core/v1:Secret": 4,
    "kubernetes:core/v1:Service": 4,
    "kubernetes:core/v1:ServiceAccount": 5,
    "kubernetes:monitoring.coreos.com/v1:Alertmanager": 1,
    "kubernetes:monitoring.coreos.com/v1:PodMonitor": 15,
    "kubernetes:monitoring.coreos.com/v1:Prometheus": 1,
    "kubernetes:monitoring.coreos.com/v1:PrometheusRule": 6,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 5,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 5,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 5,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 1,
    "pulumi-python:dynamic/slipway:LocalImage": len(METRICS_IMAGES),
}


@pytest.fixture(scope="module")
def runs():
    """What was registered with which settings: a run takes a second and never differs."""
    return {}


@pytest.fixture
def platform(deploy, release, runs):
    def run(capabilities=SHARED, **settings):
        key = (capabilities, tuple(sorted(settings.items())))
        if key not in runs:
            config = PlatformConfig("test", capabilities, PlatformSettings(logs=Store.OFF, **settings), release)
            runs[key] = deploy(lambda: Platform("platform", config))
        return runs[key]

    return run


def monitors(run):
    return {
        it.inputs["metadata"]["name"]: it.inputs["spec"]
        for it in run.of("kubernetes:monitoring.coreos.com/v1:PodMonitor")
    }


def prometheus(run):
    return run.one("kubernetes:monitoring.coreos.com/v1:Prometheus").inputs["spec"]


def test_these_resources_measure_and_no_others(platform):
    with_metrics, without = platform().counts(), platform(metrics=Store.OFF).counts()
    added = {kind: count - without.get(kind, 0) for kind, count in with_metrics.items()}
    assert {kind: count for kind, count in added.items() if count} == METRICS


def test_off_leaves_nothing_behind(platform):
    run = platform(metrics=Store.OFF)
    assert not [it.name for it in run.resources if "monitoring" in it.type or "apiregistration" in it.type]
    namespaces = {it["metadata"].get("namespace") for it in run.objects()}
    assert not namespaces & {naming.Namespace.MONITORING, naming.Namespace.NODE_METRICS}
    assert not {it.inputs["name"] for it in run.of("pulumi-python:dynamic/slipway:LocalImage")} & set(METRICS_IMAGES)
    assert [
        it["metadata"]["namespace"] for it in run.objects() if it["metadata"]["name"] == scrapes.OBSERVER_SECRET
    ] == [naming.Namespace.ROLLOUT]


def test_off_keeps_the_observer_because_rollouts_read_it(platform):
    pod = dict(platform(metrics=Store.OFF).pods())["Deployment/haproxy"]
    assert [it["name"] for it in pod["initContainers"]] == [naming.INGRESS_OBSERVER]


@pytest.mark.parametrize("profile", ProfileName)
def test_every_profile_can_be_measured(platform, profile):
    run = platform(profile=profile)
    spec = prometheus(run)
    assert spec["replicas"] == PROFILES[profile].prometheus_replicas
    assert spec["retention"] == PROFILES[profile].prometheus_retention
    budgets = [it for it in run.objects() if it["kind"] == "PodDisruptionBudget"]
    of_prometheus = [it for it in budgets if it["metadata"]["name"] == "prometheus"]
    assert len(of_prometheus) == (1 if spec["replicas"] > 1 else 0)


def test_prometheus_sees_what_is_anywhere_whatever_its_labels(platform):
    spec = prometheus(platform())
    for kind in ("podMonitor", "serviceMonitor", "rule", "probe", "scrapeConfig"):
        assert spec[f"{kind}Selector"] == {}
        assert spec[f"{kind}NamespaceSelector"] == {}


def test_prometheus_is_safe_sized_and_of_the_catalogue(platform):
    spec = prometheus(platform())
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert set(spec["resources"]) == {"requests", "limits"}
    assert repository(spec["image"]) == "registry.test:5000/slipway/prometheus"
    assert spec["priorityClassName"] == naming.Priority.OBSERVABILITY
    run = platform()
    operator = dict(run.pods())["Deployment/prometheus-operator"]["containers"][0]
    reloader = next(it for it in operator["args"] if it.startswith("--prometheus-config-reloader="))
    assert repository(reloader.partition("=")[2]) == "registry.test:5000/slipway/prometheus-config-reloader"
    assert run.one("kubernetes:monitoring.coreos.com/v1:Prometheus").inputs["metadata"]["annotations"] == {
        "pulumi.com/waitFor": "condition=Available"
    }


def test_prometheus_is_made_after_its_operator(platform):
    run = platform()
    operator = next(it.urn for it in run.resources if it.name == "deployment/monitoring/prometheus-operator")
    assert operator in run.one("kubernetes:monitoring.coreos.com/v1:Prometheus").depends_on


def test_the_operator_lives_where_its_objects_do(platform):
    run = platform()
    found = [it for it in run.objects() if it["metadata"]["name"] == "prometheus-operator"]
    assert {it["metadata"].get("namespace") for it in found} == {None, "monitoring"}
    binding = next(it for it in found if it["kind"] == "ClusterRoleBinding")
    assert [it["namespace"] for it in binding["subjects"]] == ["monitoring"]


def test_what_rollouts_are_judged_by_is_scraped_every_five_seconds(platform):
    judged = {
        endpoint["relabelings"][0]["replacement"]: endpoint["interval"]
        for spec in monitors(platform()).values()
        for endpoint in spec["podMetricsEndpoints"]
        if endpoint["interval"] == "5s"
    }
    assert set(judged) == {"haproxy", "ingress-observer", "services"}


def test_every_monitor_finds_the_pods_that_it_is_about(platform):
    """The workloads of the mocks, and what operators make of our objects."""
    run = platform()
    made = [
        (it["metadata"]["namespace"], it["spec"]["template"])
        for it in run.objects()
        if "template" in (it.get("spec") or {})
    ]
    by_operators = {"postgres", "services", "prometheus", "alertmanager", "coredns"}
    for name, spec in monitors(run).items():
        wanted = spec["selector"].get("matchLabels", {})
        found = [
            template
            for namespace, template in made
            if namespace in spec["namespaceSelector"].get("matchNames", [])
            and wanted.items() <= template["metadata"]["labels"].items()
        ]
        if name in by_operators:
            continue
        assert found, name
        for endpoint in spec["podMetricsEndpoints"]:
            ports = [
                port["name"]
                for template in found
                for container in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
                for port in container.get("ports", [])
            ]
            assert endpoint["port"] in ports, name


def test_a_machine_that_nodes_share_is_measured_once(platform):
    assert "Deployment/node-exporter" in dict(platform().pods())
    assert "DaemonSet/node-exporter" in dict(platform(CLOUD).pods())
    deployment = next(
        it for it in platform().objects() if it["metadata"]["name"] == "node-exporter" and it["kind"] == "Deployment"
    )
    assert deployment["spec"]["replicas"] == 1


def test_only_the_exporter_of_machines_may_have_the_hosts_files(platform):
    run = platform()
    levels = {
        it.name: it.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for it in run.of("kubernetes:core/v1:Namespace")
    }
    assert levels["monitoring"] == "restricted"
    assert levels["node-metrics"] == "privileged"
    pod = dict(run.pods())["Deployment/node-exporter"]
    assert all(mount["readOnly"] for mount in pod["containers"][0]["volumeMounts"])
    assert not [key for key in ("hostNetwork", "hostPID", "hostIPC") if key in pod]
    assert pod["automountServiceAccountToken"] is False


def test_kubelets_and_metrics_server_are_verified(platform):
    run = platform()
    server = dict(run.pods())["Deployment/metrics-server"]["containers"][0]
    assert "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" in server["args"]
    assert not [it for it in server["args"] if "insecure" in it]
    api = run.one("kubernetes:apiregistration.k8s.io/v1:APIService").inputs["spec"]
    assert api["caBundle"]
    assert "insecureSkipTLSVerify" not in api
    secret = next(it for it in run.objects() if it["metadata"]["name"] == "prometheus-cluster-scrapes")
    jobs = {it["job_name"]: it for it in yaml.safe_load(secret["stringData"]["scrapes.yaml"])}
    assert set(jobs) == {"kubelet", "cadvisor", "apiserver"}
    for it in jobs.values():
        assert it["scheme"] == "https"
        assert "insecure_skip_verify" not in it["tls_config"]


def test_kube_state_metrics_reads_no_secrets(platform):
    role = next(
        it
        for it in platform().objects()
        if it["kind"] == "ClusterRole" and it["metadata"]["name"] == "kube-state-metrics"
    )
    assert "secrets" not in [kind for rule in role["rules"] for kind in rule["resources"]]
    args = dict(platform().pods())["Deployment/kube-state-metrics"]["containers"][0]["args"]
    watched = next(it for it in args if it.startswith("--resources=")).partition("=")[2].split(",")
    assert sorted(watched) == sorted(kind for rule in role["rules"] for kind in rule["resources"])


def test_prometheus_reads_metrics_and_writes_nothing(platform):
    role = next(
        it for it in platform().objects() if it["kind"] == "ClusterRole" and it["metadata"]["name"] == "prometheus"
    )
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "secrets" not in [kind for rule in role["rules"] for kind in rule.get("resources", [])]


def test_haproxy_is_observed_over_a_socket_that_may_only_look(platform):
    run = platform()
    data = next(it for it in run.objects() if it["kind"] == "ConfigMap" and it["metadata"]["name"] == "haproxy")["data"]
    assert re.fullmatch(r"stats socket (\S+) level operator mode 600\n", data["config-global"])
    pod = dict(run.pods())["Deployment/haproxy"]
    observer = pod["initContainers"][0]
    assert observer["restartPolicy"] == "Always"
    mounted = {it["mountPath"] for it in observer["volumeMounts"]}
    assert "/var/run/haproxy" not in mounted, "there lies the socket that may change everything"
    assert f"--socket={data['config-global'].split()[2]}" in observer["args"]
    assert f"--logs={data['syslog-endpoint']}" in observer["args"]
    assert "readinessProbe" not in observer, "an observer that is away must not take HAProxy out of service"


def test_who_reads_the_observer_has_its_token_and_authority(platform):
    run = platform()
    secrets = [it for it in run.objects() if it["kind"] == "Secret"]
    [own] = [it for it in secrets if it["metadata"]["name"] == naming.INGRESS_OBSERVER]
    readers = [it for it in secrets if it["metadata"]["name"] == scrapes.OBSERVER_SECRET]
    assert own["metadata"]["namespace"] == "ingress"
    assert {it["metadata"]["namespace"] for it in readers} == {"monitoring", "slipway-system"}
    for reader in readers:
        assert own["stringData"]["token"] == reader["stringData"]["token"]
        assert reader["stringData"]["ca.crt"].startswith("certificate-of-authority\n")
    endpoint = monitors(run)[naming.INGRESS_OBSERVER]["podMetricsEndpoints"][0]
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"]["serverName"] == "ingress-observer.ingress.svc"
    assert endpoint["honorLabels"] is True


def test_without_an_image_there_is_no_observer_and_nothing_waits_for_it(platform):
    run = platform(CLOUD)
    pod = dict(run.pods())["Deployment/haproxy"]
    assert not pod.get("initContainers")
    data = next(it for it in run.objects() if it["kind"] == "ConfigMap" and it["metadata"]["name"] == "haproxy")["data"]
    assert not {"config-global", "syslog-endpoint", "http-log-format"} & set(data)
    assert naming.INGRESS_OBSERVER not in monitors(run)


def test_an_image_that_is_named_brings_the_observer_to_any_cluster(platform):
    run = platform(CLOUD, ingress_observer_image=OBSERVER_IMAGE)
    pod = dict(run.pods())["Deployment/haproxy"]
    assert [it["image"] for it in pod["initContainers"]] == [OBSERVER_IMAGE]
    assert naming.INGRESS_OBSERVER in monitors(run)


def test_only_what_is_there_is_scraped():
    everything = Present()
    assert scrapes.ROLLOUT_CONTROLLER in targets(CLOUD, everything)
    assert scrapes.ROLLOUT_CONTROLLER not in targets(CLOUD, Present(rolled_out=False))
    assert not [it for it in targets(CLOUD, Present(postgres=False)) if it in scrapes.POSTGRES_TARGETS]
    assert all(it in targets(CLOUD, everything) for it in scrapes.POSTGRES_TARGETS)
    assert not [it for it in targets(CLOUD, Present(poolers=False)) if it in scrapes.POOLER_TARGETS]
    assert all(it in targets(CLOUD, everything) for it in scrapes.POOLER_TARGETS)
    assert not [it for it in targets(CLOUD, Present(redis=False)) if it in scrapes.REDIS_TARGETS]
    assert all(it in targets(CLOUD, everything) for it in scrapes.REDIS_TARGETS)
    assert not [it for it in targets(CLOUD, Present(logs=False)) if it in scrapes.LOGS_TARGETS]
    assert all(it in targets(CLOUD, everything) for it in scrapes.LOGS_TARGETS)
    assert not [it for it in targets(CLOUD, Present(traces=False)) if it in scrapes.TRACES_TARGETS]
    assert all(it in targets(CLOUD, everything) for it in scrapes.TRACES_TARGETS)
    assert scrapes.METALLB not in targets(CLOUD, everything)
    assert scrapes.METALLB in targets(SHARED, everything)
    check(targets(SHARED, everything))


def test_two_targets_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two targets of Prometheus are named haproxy"):
        check([scrapes.HAPROXY, scrapes.HAPROXY])
    with pytest.raises(ValueError, match="two jobs of Prometheus are named services"):
        check([scrapes.SERVICES, scrapes.PodTarget("other", scrapes.SERVICES.endpoints)])


def test_images_of_what_measures_are_in_the_catalogue():
    assert set(METRICS_IMAGES) <= set(CATALOGUE)


@pytest.mark.parametrize("present", [{}, {"backups": Store.MANAGED}])
def test_prometheus_knows_the_end_of_every_certificate_inside_the_cluster(platform, present):
    """The authority's and what it signed, but for the ingress' own, whose end its controller tells as it serves it."""
    run = platform(**present)
    signed = {it.name for it in run.of("pulumi-python:dynamic/slipway:GeneratedCertificate")}
    assert {"metrics-server", "ingress-observer", "ingress"} <= signed
    assert ("object-store" in signed) is bool(present)
    (group,) = next(
        it["spec"]["groups"]
        for it in run.objects()
        if it["kind"] == "PrometheusRule" and it["metadata"]["name"] == "certificates"
    )
    ends = {rule["labels"]["certificate"]: rule["expr"] for rule in group["rules"]}
    assert set(ends) == signed - {"ingress"} | {"authority"}
    assert set(ends.values()) == {"vector(1893456000)"}  # 2030-01-01, as conftest.py says
    assert {rule["record"] for rule in group["rules"]} == {certificates.ENDS}


ELSEWHERE = {
    "metrics": Store.EXTERNAL,
    "metrics_external": ExternalMetrics(
        secret="main-metrics", namespace="observability", labels={"release": "kube-prometheus"}
    ),
}


def test_a_prometheus_of_others_finds_the_platforms_own_and_nothing_of_the_cluster(deploy, release):
    settings = PlatformSettings(logs=Store.OFF, **ELSEWHERE)
    run = deploy(lambda: Platform("platform", PlatformConfig("test", SHARED, settings, release)))
    found = [it for it in run.objects() if it["kind"] in {"PodMonitor", "PrometheusRule"}]
    assert {it["metadata"]["namespace"] for it in found} == {"slipway-system"}
    assert {it["metadata"]["labels"]["release"] for it in found} == {"kube-prometheus"}
    assert set(monitors(run)) == {
        "haproxy", "services", "ingress-observer", "rollout-controller", "metallb", "redis", "redis-cache", "postgres",
        "postgres-operator",
    }  # fmt: skip
    groups = {group["name"] for it in found if it["kind"] == "PrometheusRule" for group in it["spec"]["groups"]}
    assert {"slipway-ingress-alerts", "slipway-certificates"} <= groups
    assert not groups & {"slipway-cluster-alerts", "slipway-watching-alerts"}
    kinds = {it["kind"] for it in run.objects()}
    assert not kinds & {"Prometheus", "Alertmanager", "APIService"}
    # What the PodMonitor of the observers names lies where the PodMonitor is.
    (reader,) = [it for it in run.objects() if it["metadata"]["name"] == scrapes.OBSERVER_SECRET]
    assert reader["metadata"]["namespace"] == "slipway-system"
    for it in run.objects():
        if it["kind"] == "NetworkPolicy":
            assert "monitoring" not in str(it), it["metadata"]


def test_the_controller_asks_a_prometheus_of_others_by_its_secret(deploy, release):
    settings = PlatformSettings(logs=Store.OFF, **ELSEWHERE)
    run = deploy(lambda: Platform("platform", PlatformConfig("test", SHARED, settings, release)))
    pod = dict(run.pods())["Deployment/slipway-rollout"]
    (container,) = pod["containers"]
    assert "--prometheus-url-file=/run/secrets/prometheus/url" in container["args"]
    assert not [it for it in container["args"] if it.startswith("--prometheus=")]
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    volumes = {it["name"]: it["secret"]["secretName"] for it in pod["volumes"]}
    assert mounts["prometheus"] == "/run/secrets/prometheus"
    assert volumes["prometheus"] == "main-metrics"


def test_without_the_kinds_of_an_operator_no_object_is_made_and_all_else_stays(deploy, release):
    elsewhere = ELSEWHERE["metrics_external"].model_copy(update={"objects": False})
    settings = PlatformSettings(logs=Store.OFF, metrics=Store.EXTERNAL, metrics_external=elsewhere)
    run = deploy(lambda: Platform("platform", PlatformConfig("test", SHARED, settings, release)))
    assert not [it for it in run.objects() if it["kind"] in {"PodMonitor", "PrometheusRule"}]
    assert "prometheus" in {it["name"] for it in dict(run.pods())["Deployment/slipway-rollout"]["volumes"]}
