"""Rights and admission, as a real API server enforces them, and the controller's own Deployment."""

import time
import uuid

import pytest
from rollout_control_plane import CONTROLLER, INSTALLATION, PATHS

from slipway.rollout import resource
from slipway.rollout.__main__ import settings_of
from slipway.rollout.api import ROLLOUTS, path_of
from slipway.rollout.manifests import arguments, deployment, everything

IMAGE = "registry.test/app@sha256:" + "a" * 64
PATH = path_of(ROLLOUTS, "rules", "rollouts")
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def rollout(control_plane):
    """A fresh object, made by one who may start; the policy takes effect a moment after it was made."""
    spec = {"service": "payload", "template": "payload", "image": IMAGE}
    name = f"r{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": resource.API_VERSION, "kind": "Rollout", "metadata": {"name": name}, "spec": spec}
    end = time.monotonic() + 20
    probe = {"spec": {"approve": {"revision": "x", "gate": "g", "by": "nobody"}}}
    made = control_plane.request("POST", PATH, user="sam", json=body)
    assert made.status_code == 201, made.text
    while control_plane.request("PATCH", f"{PATH}/{name}?dryRun=All", user="ada", json=probe, headers=MERGE).is_success:
        assert time.monotonic() < end, "the admission policy does not take effect"
        time.sleep(0.1)
    return f"{PATH}/{name}"


def approve(by):
    return {"approve": {"revision": "abc", "gate": "preview", "by": by}}


def abort(by):
    return {"abort": {"revision": "abc", "by": by}}


@pytest.mark.parametrize(
    ("user", "spec", "allowed"),
    [
        ("sam", {"image": IMAGE.replace("a" * 64, "b" * 64)}, True),
        ("sam", approve("sam"), False),
        ("sam", abort("sam"), False),
        ("ada", approve("ada"), True),
        ("ada", approve("erin"), False),
        ("ada", abort("ada"), False),
        ("ada", {"image": IMAGE.replace("a" * 64, "b" * 64)}, False),
        ("ada", {"paused": True}, False),
        ("ada", {**approve("ada"), "strategy": {"blueGreen": {"approval": False}}}, False),
        ("erin", abort("erin"), True),
        ("erin", abort("ada"), False),
        ("erin", approve("erin"), False),
        ("stranger", abort("stranger"), False),
        ("admin", approve("admin"), True),
        ("admin", approve("ada"), False),
    ],
)
def test_start_approve_and_abort_are_separate_rights_and_orders_are_honest(control_plane, rollout, user, spec, allowed):
    answer = control_plane.request("PATCH", rollout, user=user, json={"spec": spec}, headers=MERGE)
    assert answer.is_success is allowed, answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/namespaces/dev/secrets"),
        ("GET", "/api/v1/namespaces/dev/secrets/other"),
        ("GET", "/api/v1/namespaces/ingress/secrets"),
        ("GET", "/api/v1/namespaces/kube-system/pods"),
        ("DELETE", "/api/v1/namespaces/dev/pods/x"),
        ("POST", "/api/v1/namespaces/ingress/pods/haproxy-0/exec"),
        ("DELETE", "/apis/apps/v1/namespaces/dev/deployments/x"),
        ("DELETE", f"{PATH}/x"),
        ("GET", "/api/v1/nodes"),
    ],
)
def test_the_controller_reaches_nothing_it_does_not_need(control_plane, method, path):
    assert control_plane.request(method, path, user=CONTROLLER).status_code == 403


def test_the_controller_cannot_change_what_is_wanted(control_plane, rollout):
    answer = control_plane.request("PATCH", rollout, user=CONTROLLER, json={"spec": {"paused": True}}, headers=MERGE)
    assert answer.status_code == 403


def test_the_deployment_is_accepted_and_as_locked_down_as_can_be(control_plane):
    for manifest in deployment(INSTALLATION):
        path = PATHS[manifest["kind"]].format(manifest["metadata"]["namespace"])
        made = control_plane.request("POST", path + "?dryRun=All&fieldValidation=Strict", json=manifest)
        assert made.status_code == 201, made.text
    spec = deployment(INSTALLATION)[0]["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_command_line_is_one_that_the_program_understands():
    settings = settings_of(arguments(INSTALLATION))
    assert settings.namespace == "slipway-system"
    assert settings.haproxy_namespace == "ingress"
    assert (settings.reader, str(settings.reader_secret_file)) == ("observer", "/run/secrets/reader/token")


def test_everything_is_there_once_and_the_crd_comes_first():
    found = everything(INSTALLATION)
    keys = [(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]) for it in found]
    assert keys[0] == ("CustomResourceDefinition", None, "rollouts.slipway.dev")
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("what", "code"), [("podtemplates/none", 404), ("secrets/none", 403), ("pods", 403), ("podtemplates", 403)]
)
def test_who_starts_versions_reads_the_template_of_one_and_nothing_else(control_plane, rollout, what, code):
    del rollout  # the roles are there
    answer = control_plane.request("GET", f"/api/v1/namespaces/rules/{what}", user="sam")
    assert answer.status_code == code, answer.text
