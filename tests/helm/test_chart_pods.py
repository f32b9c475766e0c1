"""The pods: what they may do, how they start and end. The controller makes them from the one PodTemplate."""

from slipway.rollout.manifests import worker_rules

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_of(rendered):
    return rendered.one("PodTemplate", "payload")["template"]


def container_of(rendered):
    [container] = pod_of(rendered)["spec"]["containers"]
    return container


def plain(container):
    return {one["name"]: one.get("value") for one in container["env"]}


def test_colour_version_and_image_are_left_to_the_controller(chart):
    labels = pod_of(chart())["metadata"]["labels"]
    assert labels["slipway.dev/role"] == "web"
    assert not {"slipway.dev/colour", "app.kubernetes.io/version"} & set(labels)
    spec = pod_of(chart())["spec"]
    images = {one["image"] for one in [*spec["containers"], *spec["initContainers"]]}
    assert images == {"slipway.dev/image-of-the-rollout@sha256:" + "0" * 64}


def test_pods_are_restricted(chart):
    spec = pod_of(chart())["spec"]
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
    for container in [*spec["containers"], *spec["initContainers"]]:
        assert container["securityContext"] == RESTRICTED
        assert container["imagePullPolicy"] == "IfNotPresent"
    assert chart().one("ServiceAccount", "payload")["automountServiceAccountToken"] is False


def test_only_tmp_is_writable(chart):
    spec = pod_of(chart())["spec"]
    assert {one["name"]: one for one in spec["volumes"]}["tmp"]["emptyDir"] == {"sizeLimit": "32Mi", "medium": "Memory"}
    mounts = {one["mountPath"]: one for one in container_of(chart())["volumeMounts"]}
    assert set(mounts) == {"/tmp", "/run/secrets/payload", "/run/config/payload"}  # noqa: S108 - the container's own /tmp
    assert mounts["/run/secrets/payload"]["readOnly"] is True
    assert mounts["/run/config/payload"]["readOnly"] is True


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
        "SLIPWAY_FLAGS_FILE": "/run/config/payload/flags.json",
    }


def test_config_maps_are_files_that_every_user_may_read(chart):
    spec = pod_of(chart())["spec"]
    [volume] = [one for one in spec["volumes"] if one["name"] == "config"]
    assert volume["projected"]["defaultMode"] == 0o444
    items = [{"key": name, "path": name} for name in ("flags.json", "other.json")]
    assert volume["projected"]["sources"] == [{"configMap": {"name": "payload-flags", "items": items}}]


def test_a_config_map_is_no_part_of_a_version(chart):
    """Else a change of it would be a rollout, and could switch nothing off at once."""
    told = chart().one("Rollout", "payload")["spec"]["config"]
    assert {it["name"] for it in told} == {"payload-env", "payload-database", "payload-redis", "payload-database-owner"}


def test_pod_without_secrets_mounts_none(chart):
    spec = pod_of(chart({"secrets": [], "configMaps": [], "migrations": {"secrets": []}}))["spec"]
    assert [one["name"] for one in spec["volumes"]] == ["tmp"]


def test_colour_and_version_come_from_the_labels(chart):
    sources = {
        one["name"]: one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        for one in container_of(chart())["env"]
    }
    assert sources["SLIPWAY_COLOUR"] == "metadata.labels['slipway.dev/colour']"
    assert sources["SLIPWAY_VERSION"] == "metadata.labels['app.kubernetes.io/version']"


def test_pod_serves_on_after_it_is_told_to_end(chart):
    assert container_of(chart())["lifecycle"] == {"preStop": {"sleep": {"seconds": 12}}}
    spec = pod_of(chart())["spec"]
    assert spec["terminationGracePeriodSeconds"] == 45


def test_negative_control_ends_at_once(chart):
    assert "lifecycle" not in container_of(chart({"lifecycle": {"preStopSeconds": 0}}))


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


def test_workers_are_the_same_image_with_the_same_config_and_no_port_for_users(chart):
    rendered = chart()
    pod = rendered.one("PodTemplate", "payload-worker")["template"]
    assert pod["metadata"]["labels"]["slipway.dev/role"] == "worker"
    [worker], service = pod["spec"]["containers"], container_of(rendered)
    assert worker["command"] == ["python", "-m", "app.work"]
    assert worker["image"] == service["image"]
    assert [port["name"] for port in worker["ports"]] == ["metrics"]
    for shared in ("env", "envFrom", "volumeMounts", "securityContext"):
        assert worker[shared] == service[shared]
    assert pod["spec"]["initContainers"] == pod_of(rendered)["spec"]["initContainers"]
    assert {worker[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "metrics"
    }
    asked = rendered.one("Rollout", "payload")["spec"]["workers"]
    assert (asked["template"], asked["replicas"]) == ("payload-worker", 2)


def test_workers_are_scaled_as_the_values_say_or_not_at_all(chart, rejected):
    given = {"query": 'max(messages{namespace="{{namespace}}",colour="{{colour}}"})', "messagesPerWorker": 50,
             "maxReplicas": 5, "scaleDownSeconds": 120}  # fmt: skip
    asked = chart().one("Rollout", "payload")["spec"]["workers"]
    assert asked["autoscaling"] == given
    off = chart({"workers": {"autoscaling": {"enabled": False}}}).one("Rollout", "payload")["spec"]["workers"]
    assert off == {"template": "payload-worker", "replicas": 2}
    assert "query" in rejected({"workers": {"autoscaling": {"query": ""}}})


def test_the_controller_may_turn_the_switch_of_a_service_with_workers_and_no_more(chart):
    role = chart().one("Role", "payload-consumers")
    assert role["rules"] == worker_rules("payload")
    [subject] = chart().one("RoleBinding", "payload-consumers")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "slipway-rollout", "namespace": "slipway-system"}
    without = chart({"workers": {"enabled": False}})
    assert not without.all("Role")
    assert "workers" not in without.one("Rollout", "payload")["spec"]
