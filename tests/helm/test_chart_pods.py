"""The pods: what they may do, how they start and end, and that all of them come from one template."""

import copy

import pytest

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_of(rendered, colour="blue"):
    return rendered.one("Deployment", f"payload-{colour}")["spec"]["template"]


def container_of(rendered, colour="blue"):
    [container] = pod_of(rendered, colour)["spec"]["containers"]
    return container


def plain(container):
    return {one["name"]: one.get("value") for one in container["env"]}


def without_version(template):
    """Returns a pod template with all that is meant to differ between versions and colours taken out."""
    result = copy.deepcopy(template)
    result["metadata"]["labels"].pop("slipway.dev/colour", None)
    result["metadata"]["labels"].pop("app.kubernetes.io/version")
    for container in [*result["spec"]["containers"], *result["spec"].get("initContainers", [])]:
        container.pop("image")
        container["env"] = [one for one in container["env"] if one["name"] != "FAULT_LATENCY"]
    return result


def test_all_pods_come_from_one_template(chart):
    [template] = chart({"deployments": {"enabled": False}}).all("PodTemplate")
    blue, green = pod_of(chart(), "blue"), pod_of(chart(), "green")
    assert blue != green
    assert without_version(template["template"]) == without_version(blue) == without_version(green)


def test_pod_template_names_no_colour_and_carries_its_image(chart):
    [template] = chart({"deployments": {"enabled": False}}).all("PodTemplate")
    assert "slipway.dev/colour" not in template["template"]["metadata"]["labels"]
    [container] = template["template"]["spec"]["containers"]
    assert container["image"].endswith("@sha256:" + "3" * 64)


def test_pods_are_restricted(chart):
    rendered = chart()
    templates = [one["spec"]["template"] for one in [*rendered.all("Deployment"), *rendered.all("Job")]]
    assert len(templates) == 4
    for template in templates:
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["serviceAccountName"] == "payload"
        assert spec["priorityClassName"] == "slipway-service"
        assert spec["imagePullSecrets"] == [{"name": "registry-pull"}]
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == RESTRICTED
            assert container["imagePullPolicy"] == "IfNotPresent"
    assert chart().one("ServiceAccount", "payload")["automountServiceAccountToken"] is False


def test_only_tmp_is_writable(chart):
    spec = pod_of(chart())["spec"]
    assert {one["name"]: one for one in spec["volumes"]}["tmp"]["emptyDir"] == {"sizeLimit": "32Mi", "medium": "Memory"}
    mounts = {one["mountPath"]: one for one in container_of(chart())["volumeMounts"]}
    assert set(mounts) == {"/tmp", "/run/secrets/payload"}  # noqa: S108 - the container's own /tmp
    assert mounts["/run/secrets/payload"]["readOnly"] is True


def test_secrets_are_files_and_the_environment_names_them(chart):
    spec = pod_of(chart())["spec"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "secrets"]
    assert volume["projected"]["defaultMode"] == 0o440
    paths = {
        item["path"]: source["secret"]["name"]
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }
    assert paths == {
        "database-url": "payload-database",
        "replica-url": "payload-database",
        "redis-url": "payload-redis",
        "redis-ca.crt": "payload-redis",
    }
    files = {name: value for name, value in plain(container_of(chart())).items() if name.endswith("_FILE")}
    assert files == {
        "SLIPWAY_DATABASE_URL_FILE": "/run/secrets/payload/database-url",
        "SLIPWAY_REPLICA_URL_FILE": "/run/secrets/payload/replica-url",
        "SLIPWAY_REDIS_URL_FILE": "/run/secrets/payload/redis-url",
    }


def test_pod_without_secrets_mounts_none(chart):
    spec = pod_of(chart({"secrets": []}))["spec"]
    assert [one["name"] for one in spec["volumes"]] == ["tmp"]


def test_colour_and_version_come_from_the_labels(chart):
    sources = {
        one["name"]: one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        for one in container_of(chart())["env"]
    }
    assert sources["SLIPWAY_COLOUR"] == "metadata.labels['slipway.dev/colour']"
    assert sources["SLIPWAY_VERSION"] == "metadata.labels['app.kubernetes.io/version']"


@pytest.mark.parametrize(
    ("image", "version", "expected"),
    [
        ("a:5000/b@sha256:" + "0123456789ab" + "c" * 52, "", "0123456789ab"),
        ("a:5000/b:1.2.3", "", "1.2.3"),
        ("a:5000/b:1.2.3", "named", "named"),
        ("a:" + "v" * 128, "", "v" * 63),
        ("a:1_", "", "1"),
    ],
)
def test_version_has_a_name(chart, image, version, expected):
    rendered = chart({"colours": {"blue": {"image": image, "version": version}}})
    assert pod_of(rendered)["metadata"]["labels"]["app.kubernetes.io/version"] == expected
    assert container_of(rendered)["image"] == image


def test_each_colour_has_its_own_image_replicas_and_env(chart):
    rendered = chart()
    assert [one["spec"]["replicas"] for one in rendered.all("Deployment")] == [3, 2]
    assert container_of(rendered, "blue")["image"].endswith("@sha256:" + "1" * 64)
    assert container_of(rendered, "green")["image"] == "registry.example.test:5000/payload:2.0.0"
    assert plain(container_of(rendered, "blue"))["FAULT_LATENCY"] == "0"
    assert plain(container_of(rendered, "green"))["FAULT_LATENCY"] == "250"


def test_a_change_of_one_colour_leaves_the_other_alone(chart):
    changed = chart({"colours": {"green": {"image": "a:3", "env": {"X": "y"}}}})
    assert changed.one("Deployment", "payload-blue") == chart().one("Deployment", "payload-blue")
    assert changed.one("Deployment", "payload-green") != chart().one("Deployment", "payload-green")


def test_pod_serves_on_after_it_is_told_to_end(chart):
    assert container_of(chart())["lifecycle"] == {"preStop": {"sleep": {"seconds": 12}}}
    spec = pod_of(chart())["spec"]
    assert spec["terminationGracePeriodSeconds"] == 45


def test_negative_control_ends_at_once(chart):
    assert "lifecycle" not in container_of(chart({"lifecycle": {"preStopSeconds": 0}}))


def test_rolling_update_never_takes_a_pod_before_its_successor_is_ready(chart):
    for deployment in chart().all("Deployment"):
        assert deployment["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 2},
        }
        assert deployment["spec"]["progressDeadlineSeconds"] == 300


def test_probes_ask_what_they_are_for(chart):
    container = container_of(chart())
    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {
        "startupProbe": {"path": "/livez", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
    }
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 60


def test_pods_are_spread_by_colour_and_revision(chart):
    [constraint] = pod_of(chart())["spec"]["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["whenUnsatisfiable"] == "DoNotSchedule"
    assert constraint["nodeTaintsPolicy"] == "Honor"
    # A key may stand in one of the two only, else the API server refuses the pod.
    assert constraint["matchLabelKeys"] == ["slipway.dev/colour", "pod-template-hash"]
    assert not set(constraint["matchLabelKeys"]) & set(constraint["labelSelector"]["matchLabels"])


def test_lost_nodes_and_name_servers_are_given_up_quickly(chart):
    spec = pod_of(chart({"scheduling": {"nodeLossSeconds": 7, "dnsTimeoutSeconds": 2}}))["spec"]
    assert {one["key"]: one["tolerationSeconds"] for one in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready": 7,
        "node.kubernetes.io/unreachable": 7,
    }
    assert {"name": "timeout", "value": "2"} in spec["dnsConfig"]["options"]


def test_entrypoint_of_the_image_stays_unless_given(chart):
    given = container_of(chart())
    assert given["command"] == ["python", "-m"]
    assert given["args"] == ["app.serve"]
    left = container_of(chart({"command": [], "args": []}))
    assert "command" not in left
    assert "args" not in left
