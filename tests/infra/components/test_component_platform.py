"""The platform as a whole: which resources exist, each pod safe and sized, no secret in plain text."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from infra_stand_ins import CLOUD, OWN_REGISTRY

from infra import images, naming
from infra.components.platform import Platform, PlatformConfig
from infra.images import CATALOGUE, ImageSource
from infra.parts import Store
from infra.profiles import PROFILES, ProfileName
from infra.settings import PlatformSettings
from infra.timeouts import TrafficTimeouts

COMMON = {
    "kubernetes:admissionregistration.k8s.io/v1:MutatingWebhookConfiguration": 1,
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingWebhookConfiguration": 1,
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": 11,
    "kubernetes:apps/v1:Deployment": 3,
    "kubernetes:apps/v1:StatefulSet": 1,
    "kubernetes:core/v1:ConfigMap": 5,
    "kubernetes:core/v1:Namespace": 3,
    "kubernetes:core/v1:Secret": 6,
    "kubernetes:core/v1:Service": 7,
    "kubernetes:core/v1:ServiceAccount": 2,
    "kubernetes:networking.k8s.io/v1:IngressClass": 1,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 3,
    "kubernetes:policy/v1:PodDisruptionBudget": 3,
    "kubernetes:postgresql.cnpg.io/v1:Cluster": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 8,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 2,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
    "kubernetes:scheduling.k8s.io/v1:PriorityClass": 4,
    "pulumi-python:dynamic/slipway:GeneratedAuthority": 1,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 4,
    "pulumi-python:dynamic/slipway:GeneratedPassword": 3,
}
METALLB = {
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingWebhookConfiguration": 1,
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": 8,
    "kubernetes:apps/v1:DaemonSet": 1,
    "kubernetes:apps/v1:Deployment": 1,
    "kubernetes:core/v1:ConfigMap": 1,
    "kubernetes:core/v1:Namespace": 1,
    "kubernetes:core/v1:Secret": 1,
    "kubernetes:core/v1:Service": 1,
    "kubernetes:core/v1:ServiceAccount": 2,
    "kubernetes:metallb.io/v1beta1:IPAddressPool": 1,
    "kubernetes:metallb.io/v1beta1:L2Advertisement": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 2,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 2,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": 2,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 2,
}
OWN_NAME = {f"redis-{number}": {"statefulset.kubernetes.io/pod-name": f"redis-{number}"} for number in range(3)}
#: The observer beside HAProxy, where its image can be built; the rollout controller reads it.
OBSERVER = {
    "kubernetes:core/v1:Secret": 2,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 1,
    "pulumi-python:dynamic/slipway:GeneratedPassword": 1,
    "pulumi-python:dynamic/slipway:LocalImage": 9,
}
CONTROLLER = {
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": 1,
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding": 1,
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": 1,
    "kubernetes:apps/v1:Deployment": 1,
    "kubernetes:core/v1:Namespace": 1,
    "kubernetes:core/v1:Service": 1,
    "kubernetes:core/v1:ServiceAccount": 1,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 1,
    "kubernetes:policy/v1:PodDisruptionBudget": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 8,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 1,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": 2,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 2,
}


@pytest.fixture(scope="module")
def runs():
    """What was registered with which settings: a run takes a second and never differs."""
    return {}


@pytest.fixture
def platform(deploy, release, runs):
    def run(settings=None, capabilities=OWN_REGISTRY, *, preview=False):
        # What measures and what keeps logs are tested apart, in test_component_metrics.py and test_component_logs.py.
        chosen = settings or PlatformSettings(metrics=Store.OFF, logs=Store.OFF)
        key = (chosen, capabilities, preview)
        if key not in runs:
            config = PlatformConfig("test", capabilities, chosen, release)
            runs[key] = deploy(lambda: Platform("platform", config), preview=preview)
        return runs[key]

    return run


def test_these_resources_exist_and_no_others(platform):
    parts = (COMMON, METALLB, OBSERVER, CONTROLLER)
    expected = {name: sum(part.get(name, 0) for part in parts) for name in {name for part in parts for name in part}}
    assert platform().counts() == dict(sorted(expected.items()))


def test_a_cluster_with_a_load_balancer_gets_no_metallb_and_pulls_from_upstream(platform):
    run = platform(capabilities=CLOUD)
    assert run.counts() == dict(sorted(COMMON.items()))
    assert not [text for text in run.plain_texts() if "metallb" in text]


def test_haproxys_address_is_asked_for_as_the_cluster_wants(deploy, release):
    capabilities = replace(CLOUD, load_balancer_annotations={"cloud.test/kind": "network"})
    chosen = PlatformSettings(metrics=Store.OFF, logs=Store.OFF, postgres=Store.OFF, redis=Store.OFF)
    run = deploy(lambda: Platform("platform", PlatformConfig("test", capabilities, chosen, release)))
    services = {it.inputs["metadata"]["name"]: it.inputs for it in run.of("kubernetes:core/v1:Service")}
    assert services["haproxy"]["metadata"]["annotations"] == {"cloud.test/kind": "network"}


@pytest.mark.parametrize("capabilities", [OWN_REGISTRY, CLOUD], ids=["own", "cloud"])
def test_a_preview_knows_every_resource_before_anything_is_there(platform, capabilities):
    assert platform(capabilities=capabilities, preview=True).counts() == platform(capabilities=capabilities).counts()


@pytest.mark.parametrize("source", [ImageSource.LOCAL, ImageSource.UPSTREAM])
def test_no_pod_uses_an_image_outside_the_catalogue(platform, source):
    run = platform(PlatformSettings(image_source=source, logs=Store.OFF))
    if source is ImageSource.LOCAL:
        allowed = {f"registry.test:5000/slipway/{name}" for name in CATALOGUE}
    else:
        allowed = {images.repository(it.upstream_reference()) for it in CATALOGUE.values() if it.upstream}
    used = [c["image"] for _, pod in run.pods() for c in [*pod.get("initContainers", []), *pod["containers"]]]
    used.append(run.one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs["spec"]["imageName"])
    used += [
        variable["value"]
        for _, pod in run.pods()
        for container in pod["containers"]
        for variable in container.get("env", [])
        if variable["name"] == "OPERATOR_IMAGE_NAME"
    ]
    # Nobody publishes the observer and the rollout controller, so they are there only where they can be built.
    assert len(used) == (18 if source is ImageSource.LOCAL else 16)
    assert {images.repository(it) for it in used} <= allowed
    assert not [it for it in used if it.endswith(":latest")]
    if source is ImageSource.LOCAL:
        assert all("@sha256:" in it for it in used)


def test_another_version_of_the_operator_takes_over_without_a_restart_of_postgres(platform):
    (operator,) = [pod for name, pod in platform().pods() if name == "Deployment/cnpg-controller-manager"]
    told = {it["name"]: it.get("value") for it in operator["containers"][0]["env"]}
    assert told["ENABLE_INSTANCE_MANAGER_INPLACE_UPDATES"] == "true"


def test_a_mirror_stands_before_every_upstream_reference(platform):
    run = platform(PlatformSettings(image_source=ImageSource.UPSTREAM, image_mirror="mirror.test/all"))
    assert all(c["image"].startswith("mirror.test/all/") for _, pod in run.pods() for c in pod["containers"])


@hypothesis_settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    profile=st.sampled_from(ProfileName),
    timeouts=st.builds(
        TrafficTimeouts,
        node_loss=st.integers(1, 600),
        ingress_drain=st.integers(1, 60),
        ingress_finish=st.integers(10, 120),
    ),
    with_load_balancer=st.booleans(),
)
def test_whatever_is_chosen_every_pod_is_safe_and_sized(platform, profile, timeouts, with_load_balancer):
    run = platform(
        PlatformSettings(profile=profile, timeouts=timeouts, logs=Store.OFF),
        CLOUD if with_load_balancer else OWN_REGISTRY,
    )
    # Backups come along with all profiles but the smallest: the store, and what speaks to it.
    backups = 0 if profile is ProfileName.SMALL else 2
    assert len(run.pods()) == (8 if with_load_balancer else 11) + backups
    for name, pod in run.pods():
        for container in pod["containers"]:
            where = f"{name}/{container['name']}"
            assert set(container["resources"]) == {"requests", "limits"}, where
            assert container["livenessProbe"], where
            assert container["readinessProbe"], where
            assert container["imagePullPolicy"] == "IfNotPresent", where
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["readOnlyRootFilesystem"] is True, where
            assert [it.upper() for it in security["capabilities"]["drop"]] == ["ALL"], where
        # The speaker alone must be root: it answers ARP on the node's own network.
        assert name == "DaemonSet/speaker" or pod["securityContext"]["runAsNonRoot"] is True, name
        tolerated = {it["tolerationSeconds"] for it in pod.get("tolerations", []) if "tolerationSeconds" in it}
        assert name.startswith("DaemonSet/") or tolerated == {timeouts.node_loss}, name
    for it in run.objects():
        assert 0 < len(it["metadata"]["name"]) <= 63 or it["kind"] == "CustomResourceDefinition"
        for value in it["metadata"].get("labels", {}).values():
            assert len(value) <= 63


@pytest.mark.parametrize("profile", ProfileName)
def test_every_replicated_workload_is_spread_and_has_a_disruption_budget(platform, profile):
    run = platform(PlatformSettings(profile=profile, logs=Store.OFF))
    budgets = [it["spec"]["selector"]["matchLabels"] for it in run.objects() if it["kind"] == "PodDisruptionBudget"]
    replicated = [
        it for it in run.objects() if (it.get("spec") or {}).get("replicas", 1) > 1 and "template" in it["spec"]
    ]
    assert {it["metadata"]["name"] for it in replicated} == {
        "haproxy",
        "cnpg-controller-manager",
        "slipway-rollout",
        "redis",
    }
    for it in replicated:
        labels = it["spec"]["template"]["metadata"]["labels"]
        assert len([budget for budget in budgets if budget.items() <= labels.items()]) == 1
        constraint = it["spec"]["template"]["spec"]["topologySpreadConstraints"][0]
        assert constraint["labelSelector"]["matchLabels"].items() <= labels.items()
        kept = it["metadata"]["name"] == "redis"  # who has a volume starts where that is
        assert constraint["whenUnsatisfiable"] == ("ScheduleAnyway" if kept else "DoNotSchedule")


def test_every_service_finds_the_pods_of_exactly_one_workload(platform):
    run = platform()
    workloads = [
        (it["metadata"]["namespace"], it["spec"]["template"]["metadata"]["labels"])
        for it in run.objects()
        if "template" in (it.get("spec") or {})
    ]
    services = [it for it in run.objects() if it["kind"] == "Service"]
    assert len(services) == 9
    for it in services:
        found = [
            labels
            for namespace, labels in workloads
            if namespace == it["metadata"]["namespace"]
            # A StatefulSet's controller gives each pod its own name as a label.
            and it["spec"]["selector"].items() <= {**labels, **OWN_NAME.get(it["metadata"]["name"], {})}.items()
        ]
        assert len(found) == 1, it["metadata"]["name"]


def test_every_priority_that_a_pod_names_exists(platform):
    run = platform()
    classes = {it["metadata"]["name"] for it in run.objects() if it["kind"] == "PriorityClass"}
    named = {pod["priorityClassName"] for _, pod in run.pods() if "priorityClassName" in pod}
    assert named == {naming.Priority.TRAFFIC, naming.Priority.DATA}
    assert named <= classes


def test_no_secret_is_in_plain_text(platform):
    run = platform()
    assert not [text for text in run.plain_texts() if "plain-" in text]
    # The same words are there when secrets are looked into, so the check above can fail.
    assert any("plain-password" in str(it.inputs) for it in run.resources)
    assert any("plain-key" in str(it.inputs) for it in run.resources)


def test_custom_resources_wait_until_what_they_ask_for_is_there(platform):
    run = platform()
    cluster = run.one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs
    assert cluster["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}
    for it in run.objects():
        if it["kind"].endswith("WebhookConfiguration"):
            assert it["metadata"]["annotations"]["pulumi.com/waitFor"].endswith("caBundle}")


def test_custom_resources_are_made_after_their_operator(platform):
    run = platform()
    webhook = next(it.urn for it in run.resources if it.name.startswith("validatingwebhookconfiguration/cnpg"))
    assert webhook in run.one("kubernetes:postgresql.cnpg.io/v1:Cluster").depends_on
    webhook = next(it.urn for it in run.resources if it.name.startswith("validatingwebhookconfiguration/metallb"))
    assert webhook in run.one("kubernetes:metallb.io/v1beta1:IPAddressPool").depends_on


def test_namespaces_are_as_strict_as_their_software_allows(platform):
    levels = {
        it.name: it.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for it in platform().of("kubernetes:core/v1:Namespace")
    }
    assert levels == {
        "metallb-system": "privileged",
        "ingress": "restricted",
        "cnpg-system": "restricted",
        "data": "restricted",
        "slipway-system": "restricted",
    }


def test_the_handover_says_where_the_ingress_is(deploy, release):
    config = PlatformConfig("test", OWN_REGISTRY, PlatformSettings(), release)
    seen = []
    deploy(lambda: Platform("platform", config).handover.ingress_address.apply(seen.append))
    assert seen == ["10.123.0.200"]


def test_postgres_loses_no_acknowledged_write(platform):
    spec = platform().one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs["spec"]
    assert spec["instances"] == 3
    assert spec["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
        "failoverQuorum": True,
    }
    assert spec["primaryLease"] == {"leaseDurationSeconds": 4, "renewDeadlineSeconds": 3, "retryPeriodSeconds": 1}
    assert (spec["switchoverDelay"], spec["smartShutdownTimeout"], spec["stopDelay"]) == (15, 2, 30)
    assert spec["storage"] == {"size": PROFILES[ProfileName.SMALL].postgres_storage, "storageClass": "standard"}
    assert spec["walStorage"] == {"size": PROFILES[ProfileName.SMALL].postgres_wal_storage, "storageClass": "standard"}
    assert spec["enableSuperuserAccess"] is False


def test_postgres_keeps_the_log_since_the_checkpoint_that_a_rewound_member_needs(platform):
    parameters = platform().one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs["spec"]["postgresql"]["parameters"]
    assert parameters["wal_keep_size"] == parameters["max_wal_size"] == PROFILES[ProfileName.SMALL].postgres_wal


def test_postgres_shows_a_certificate_for_what_services_call_it(platform):
    run = platform()
    spec = run.one("kubernetes:postgresql.cnpg.io/v1:Cluster").inputs["spec"]
    assert spec["certificates"] == {"serverCASecret": "postgres-tls", "serverTLSSecret": "postgres-tls"}
    secret = run.one("kubernetes:core/v1:Secret", "postgres").inputs
    assert secret["metadata"]["name"] == "postgres-tls"
    assert secret["metadata"]["labels"]["cnpg.io/reload"] == "true"
    assert set(secret["stringData"]) == {"ca.crt", "tls.crt", "tls.key"}
    names = run.one("pulumi-python:dynamic/slipway:GeneratedCertificate", "postgres").inputs["dns_names"]
    assert names[0] == naming.POSTGRES_PRIMARY_HOST
    assert {naming.POSTGRES_REPLICA_HOST, "postgres-rw", "postgres-r.data.svc"} <= set(names)
    # The operator hands the same certificate to poolers.
    assert {naming.PRIMARY_POOLER_HOST, naming.REPLICA_POOLER_HOST} <= set(names)
    assert len(set(names)) == len(names) == 20
