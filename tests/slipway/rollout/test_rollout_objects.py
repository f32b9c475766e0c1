"""The objects that the controller makes: pinned config and templates, Deployments, Jobs; and what it reads."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout import objects, switch
from slipway.rollout.observation import JobView, RunJob, SetConsumers, Switch
from slipway.rollout.spec import ConfigKind, ConfigRef, JobCheck, Migrations, RolloutSpec
from slipway.rollout.status import Colour

IMAGE = "registry.test/app@sha256:" + "a" * 64
WHO = {"name": "payload", "namespace": "dev", "uid": "u"}
SPEC = RolloutSpec(
    service="payload",
    template="payload",
    image=IMAGE,
    migrations=Migrations(),
    config=(ConfigRef(kind=ConfigKind.CONFIG_MAP, name="conf"), ConfigRef(kind=ConfigKind.SECRET, name="key")),
)
TEMPLATE = {
    "metadata": {"name": "payload"},
    "template": {
        "metadata": {"labels": {"app.kubernetes.io/name": "payload", "app.kubernetes.io/instance": "payload"}},
        "spec": {
            "initContainers": [{"name": "wait", "image": "old"}],
            "containers": [
                {
                    "name": "service",
                    "image": "old",
                    "envFrom": [{"configMapRef": {"name": "conf"}}, {"secretRef": {"name": "other"}}],
                    "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}],
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
                    "args": ["serve"],
                },
                {"name": "sidecar", "image": "other"},
            ],
            "volumes": [
                {"name": "key", "secret": {"secretName": "key"}},
                {"name": "conf", "configMap": {"name": "conf"}},
            ],
        },
    },
}


@pytest.fixture
def pinned():
    return objects.pin_template(TEMPLATE, name="payload", revision="abc", spec=SPEC, rollout=WHO)


def test_a_pinned_template_has_its_image_and_its_own_config(pinned):
    spec = pinned["template"]["spec"]
    service, sidecar = spec["containers"]
    assert [service["image"], sidecar["image"], spec["initContainers"][0]["image"]] == [IMAGE, "other", IMAGE]
    assert service["envFrom"][0]["configMapRef"]["name"] == "conf-abc"
    assert service["envFrom"][1]["secretRef"]["name"] == "other", "only what spec.config names is copied"
    assert service["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "key-abc"
    assert spec["volumes"][0]["secret"]["secretName"] == "key-abc"
    assert spec["volumes"][1]["configMap"]["name"] == "conf-abc"
    assert pinned["metadata"]["name"] == "payload-abc"
    assert TEMPLATE["template"]["spec"]["containers"][0]["image"] == "old", "the source is not touched"


def test_a_copy_of_config_is_immutable_and_goes_with_the_revision():
    source = {"kind": "Secret", "type": "Opaque", "metadata": {"name": "key", "uid": "x"}, "data": {"k": "dg=="}}
    owners = objects.owned_by({"metadata": {"name": "payload-abc", "uid": "t"}})
    copied = objects.pin_config(source, "abc", WHO, owners)
    assert copied["immutable"] is True
    assert copied["data"] == {"k": "dg=="}
    assert copied["metadata"]["name"] == "key-abc"
    (owner,) = copied["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("PodTemplate", "payload-abc", "t")
    assert owner["blockOwnerDeletion"] is True, "or the PodTemplate would be gone before its copies"


def test_a_deployment_selects_by_colour_and_never_by_revision(pinned):
    blue = objects.deployment(pinned, name="payload-blue", colour=Colour.BLUE, role="web", replicas=3, rollout=WHO)
    selector = blue["spec"]["selector"]["matchLabels"]
    labels = blue["spec"]["template"]["metadata"]["labels"]
    assert selector["slipway.dev/colour"] == "blue"
    assert objects.REVISION not in selector
    assert selector.items() <= labels.items()
    assert labels[objects.REVISION] == blue["metadata"]["labels"][objects.REVISION] == "abc"
    assert blue["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert {"name": "SLIPWAY_COLOUR", "value": "blue"} in blue["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "slipway.dev/colour" not in pinned["template"]["metadata"]["labels"]


def test_a_worker_is_told_who_consumes_and_its_template_is_not(pinned):
    blue = objects.deployment(pinned, name="w", colour=Colour.BLUE, role=objects.WORKER, replicas=1, rollout=WHO)
    assert blue["spec"]["selector"]["matchLabels"]["slipway.dev/role"] == "worker"
    pod = blue["spec"]["template"]["spec"]
    volume = {"name": "slipway-consumers", "configMap": {"name": "payload-consumers", "optional": True}}
    assert volume in pod["volumes"]
    for container in pod["containers"]:
        told = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert told["SLIPWAY_CONSUME_COLOUR_FILE"] == "/run/slipway/consumers/colour"
        assert told["SLIPWAY_COLOUR"] == "blue"
        assert {"name": "slipway-consumers", "mountPath": "/run/slipway/consumers", "readOnly": True} in container[
            "volumeMounts"
        ]
    assert volume not in pinned["template"]["spec"]["volumes"], "the switch is no part of a revision"


@given(st.sampled_from(Colour), st.integers(1, 9))
def test_a_switch_says_what_was_written(colour, fence):
    made = switch.manifest(WHO, SetConsumers(colour, fence, "7"), objects.owner(WHO))
    assert made["metadata"]["resourceVersion"] == "7"
    assert switch.read(made) == Switch(colour, fence, "7")


@pytest.mark.parametrize("data", [None, {}, {"colour": "red"}, {"colour": ""}])
def test_a_switch_that_names_no_colour_says_none(data):
    assert switch.read({"metadata": {"resourceVersion": "3"}, "data": data}) == Switch(None, 0, "3")
    assert switch.read(None) == Switch(None, 0, "")


def test_a_migration_runs_the_image_with_the_pods_own_config(pinned):
    action = RunJob("payload-abc-check-0", "check", "abc", IMAGE, Colour.GREEN)
    job = objects.migration_job(pinned, action, SPEC, WHO)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", "app.migrate", "check", "--json"]
    assert container["envFrom"][0]["configMapRef"]["name"] == "conf-abc"
    assert "readinessProbe" not in container
    assert "args" not in container
    assert "initContainers" not in pod
    assert job["spec"]["backoffLimit"] == 0
    with pytest.raises(ValueError, match=r"no spec\.migrations"):
        objects.migration_job(pinned, action, RolloutSpec(service="a", template="a", image=IMAGE), WHO)


def with_secrets_of_migrations() -> dict[str, object]:
    """A template as the chart makes it with `migrations.secrets`: both volumes have Secrets, one of them in common."""
    template = copy.deepcopy(TEMPLATE)
    spec = template["template"]["spec"]
    spec["volumes"] = [
        {"name": "secrets", "projected": {"sources": [{"secret": {"name": "key"}}, {"secret": {"name": "other"}}]}},
        {
            "name": "migration-secrets",
            "projected": {
                "sources": [
                    {"secret": {"name": "owner", "items": [{"key": "url", "path": "url"}]}},
                    {"secret": {"name": "key", "items": [{"key": "ca", "path": "ca"}]}},
                ]
            },
        },
    ]
    for container, names in ((spec["containers"][0], 1), (spec["initContainers"][0], 2)):
        container["volumeMounts"] = [
            {"name": name, "mountPath": f"/run/{name}"} for name in ("secrets", "migration-secrets")[:names]
        ]
    spec["initContainers"][0] |= {
        "command": ["wait"],
        "env": [{"name": "URL_FILE", "value": "/run/migration-secrets/url"}, {"name": "SLIPWAY_VERSION", "value": ""}],
        "resources": {"limits": {"memory": "64Mi"}},
        "restartPolicy": "Always",
    }
    return template


ACTION = RunJob("payload-abc-check-0", "check", "abc", IMAGE, Colour.GREEN)
OWNER = ConfigRef(kind=ConfigKind.SECRET, name="owner")


def as_wait(container: str = "wait") -> RolloutSpec:
    return replace(SPEC, migrations=Migrations(container=container), config=(*SPEC.config, OWNER))


def test_every_secret_of_every_volume_is_turned_to_its_copy_and_no_other():
    source = with_secrets_of_migrations()
    made = objects.pin_template(source, name="payload", revision="abc", spec=as_wait(), rollout=WHO)
    named = [
        [entry["secret"]["name"] for entry in volume["projected"]["sources"]]
        for volume in made["template"]["spec"]["volumes"]
    ]
    assert named == [["key-abc", "other"], ["owner-abc", "key-abc"]], "only what spec.config names is copied"


def test_a_migration_gets_what_the_container_of_its_name_gets():
    spec = as_wait()
    made = objects.pin_template(with_secrets_of_migrations(), name="payload", revision="abc", spec=spec, rollout=WHO)
    before = copy.deepcopy(made)
    pod = objects.migration_job(made, ACTION, spec, WHO)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container == {
        "name": "wait",
        "image": IMAGE,
        "command": ["python", "-m", "app.migrate", "check", "--json"],
        "env": [
            {"name": "URL_FILE", "value": "/run/migration-secrets/url"},
            {"name": "SLIPWAY_VERSION", "value": "a" * 12},
        ],
        "resources": {"limits": {"memory": "64Mi"}},
        "volumeMounts": [
            {"name": "secrets", "mountPath": "/run/secrets"},
            {"name": "migration-secrets", "mountPath": "/run/migration-secrets"},
        ],
    }
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    assert "initContainers" not in pod
    assert made == before, "the revision's template is not touched"
    left_out = replace(spec, migrations=Migrations())
    (own,) = objects.migration_job(made, ACTION, left_out, WHO)["spec"]["template"]["spec"]["containers"]
    assert own["name"] == "service"
    assert [mount["name"] for mount in own["volumeMounts"]] == ["secrets"]
    (beside,) = objects.migration_job(made, ACTION, as_wait("sidecar"), WHO)["spec"]["template"]["spec"]["containers"]
    assert beside["name"] == "sidecar"


def test_a_container_that_is_not_there_is_named_with_those_that_are(pinned):
    with pytest.raises(ValueError, match=r"container is wiat, but PodTemplate payload-abc has") as caught:
        objects.migration_job(pinned, ACTION, as_wait("wiat"), WHO)
    assert "only service, sidecar, wait: name one of them, or leave it out for service" in str(caught.value)


def test_a_check_knows_what_it_judges_and_may_nothing():
    action = RunJob("payload-abc-preview-0", "preview", "abc", IMAGE, Colour.GREEN)
    job = objects.check_job(JobCheck(image=IMAGE, args=("run",), config_map="k6"), action, WHO)
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert {"name": "scripts", "configMap": {"name": "k6"}} in pod["volumes"]
    (container,) = pod["containers"]
    assert {"name": "SLIPWAY_COLOUR", "value": "green"} in container["env"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert job["spec"]["activeDeadlineSeconds"] == 600
    assert job["spec"]["backoffLimit"] == 0


def job(kind: str) -> dict[str, object]:
    return {"status": {"conditions": [{"type": kind, "status": "True", "message": "why"}]}}


def pod(code: int) -> dict[str, object]:
    return {"status": {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "reason": "Error"}}}]}}


def pulling(reason: str) -> dict[str, object]:
    container = {"image": "r.test/app@sha256:1", "state": {"waiting": {"reason": reason}}}
    return {"metadata": {"name": "check-1"}, "status": {"containerStatuses": [container]}}


CANNOT = "the image r.test/app@sha256:1 cannot be pulled; see `kubectl describe pod check-1`"


@pytest.mark.parametrize(
    ("found", "pods", "view"),
    [
        ({"status": {}}, [], JobView(None)),
        ({"status": {}}, [pulling("ContainerCreating")], JobView(None)),
        ({"status": {}}, [pulling("ErrImagePull")], JobView(None, CANNOT)),
        ({"status": {}}, [pulling("ImagePullBackOff")], JobView(None, CANNOT)),
        ({}, [], JobView(None)),
        (job("Complete"), [pod(0)], JobView(0, "Error")),
        (job("Complete"), [], JobView(0, "why")),
        (job("Failed"), [pod(3)], JobView(3, "Error")),
        (job("Failed"), [], JobView(-1, "why")),
    ],
)
def test_how_a_job_stands(found, pods, view):
    assert objects.job_view(found, pods) == view


@given(st.integers(0, 256), st.integers(0, 256))
def test_the_annotation_is_read_as_it_was_written(blue, green):
    assert objects.read_balance(objects.balance(blue, green)) == (blue, green)


@pytest.mark.parametrize("text", ["", "slipway.dev/colour=blue=1", "color=blue=1,color=green=2", "x", "a=b=c,d=e=f"])
def test_a_foreign_annotation_says_nothing(text):
    assert objects.read_balance(text) is None


def service(*managers: str) -> dict[str, object]:
    fields = {"f:metadata": {"f:annotations": {f"f:{objects.BALANCE}": {}}}}
    return {
        "metadata": {
            "resourceVersion": "7",
            "annotations": {objects.BALANCE: objects.balance(95, 5), objects.INITIAL: "100", objects.FENCE: "4"},
            "managedFields": [
                {"manager": "chart", "fieldsV1": {"f:spec": {}}},
                *({"manager": manager, "fieldsV1": fields} for manager in managers),
            ],
        }
    }


@pytest.mark.parametrize(
    ("managers", "writer", "ours"),
    [
        ((), "slipway-rollout", True),
        (("slipway-rollout",), "slipway-rollout", True),
        (("kubectl-annotate",), "kubectl-annotate", False),
        (("kubectl-annotate", "slipway-rollout"), "slipway-rollout", True),
    ],
)
def test_who_wrote_the_weights(managers, writer, ours):
    found = objects.annotation_of(service(*managers))
    assert (found.weights, found.initial, found.fence, found.version) == ((95, 5), 100, 4, "7")
    assert (found.writer, found.ours) == (writer, ours)


def changed(path: str, value: object) -> dict[str, object]:
    template = copy.deepcopy(TEMPLATE["template"])
    template["metadata"]["labels"][path] = value
    return template


def test_everything_that_changes_the_pods_changes_the_revision():
    config = [{"kind": "ConfigMap", "data": {"a": "1"}}]
    base = objects.revision_hash(SPEC, [TEMPLATE["template"]], config)
    assert base == objects.revision_hash(SPEC, [copy.deepcopy(TEMPLATE["template"])], copy.deepcopy(config))
    others = {
        objects.revision_hash(replace(SPEC, image=IMAGE.replace("a" * 64, "b" * 64)), [TEMPLATE["template"]], config),
        objects.revision_hash(replace(SPEC, attempt=1), [TEMPLATE["template"]], config),
        objects.revision_hash(SPEC, [changed("x", "y")], config),
        objects.revision_hash(SPEC, [TEMPLATE["template"]], [{"kind": "ConfigMap", "data": {"a": "2"}}]),
    }
    assert len(others | {base}) == 5
    assert base == objects.revision_hash(replace(SPEC, paused=True), [TEMPLATE["template"]], config)


def test_the_charts_placeholder_is_no_revision_and_the_version_follows_the_image():
    other = copy.deepcopy(TEMPLATE["template"])
    for container in (other["spec"]["containers"][0], other["spec"]["initContainers"][0]):
        container["image"] = "another-placeholder"
    other["metadata"]["labels"]["app.kubernetes.io/version"] = "old"
    assert objects.revision_hash(SPEC, [other], []) == objects.revision_hash(SPEC, [TEMPLATE["template"]], [])
    source = {"fieldRef": {"fieldPath": "metadata.labels['app.kubernetes.io/version']"}}
    other["spec"]["containers"][0]["env"].append({"name": "SLIPWAY_VERSION", "valueFrom": source})
    found = objects.dressed(other, SPEC)
    assert found["metadata"]["labels"]["app.kubernetes.io/version"] == "a" * 12
    # Not both sources: the API server refuses that.
    assert found["spec"]["containers"][0]["env"][-1] == {"name": "SLIPWAY_VERSION", "value": "a" * 12}
    assert other["metadata"]["labels"]["app.kubernetes.io/version"] == "old"


def test_ready_is_ready_and_not_leaving():
    ready = {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert objects.is_ready(ready)
    assert not objects.is_ready(ready | {"metadata": {"deletionTimestamp": "now"}})
    assert not objects.is_ready({"metadata": {}, "status": {}})
    waiting = {"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    assert objects.is_crash_looping({"metadata": {}, "status": {"containerStatuses": [waiting]}})
    assert not objects.is_crash_looping(
        {"metadata": {}, "status": {"containerStatuses": [waiting | {"restartCount": 1}]}}
    )
    assert objects.restarts({"status": {"containerStatuses": [waiting, {"restartCount": 1}]}}) == 3
