"""The walking skeleton, end to end: one cluster, tests in the order in which they stand."""

import json
import os
import time

import pytest

from infra.components.ingress import CONTROLLER_METRICS_PORT
from infra.naming import INGRESS, SERVICE, Environment, Namespace, Project
from loadtests import k6, page
from loadtests.plan import LoadPlan
from slipway import reports
from slipway.node import residue

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

RATE = int(os.environ.get("SLIPWAY_E2E_RATE", "200"))
SHIFT_REQUESTS = 10_000
COLOUR = "slipway.dev/colour"
BALANCE = "haproxy-ingress.github.io/blue-green-balance"
DEV = Environment.DEV.value


def wait_until_whole(running, seconds=180):
    """Until every part is ready again, so that one test's fault does not meet the next one's."""
    deadline = time.monotonic() + seconds
    while running.slipway("status", "--json").returncode != 0:
        assert time.monotonic() < deadline, running.slipway("status").stdout
        time.sleep(2)


def full_updates(running):
    """Reloads so far, of every HAProxy pod."""
    counts = {}
    for pod in running.kubectl.get(
        "pods", f"--namespace={Namespace.INGRESS.value}", f"--selector=app.kubernetes.io/name={INGRESS}"
    ):
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{Namespace.INGRESS.value}/pods/{name}:{CONTROLLER_METRICS_PORT}/proxy/metrics"
        for line in running.kubectl("get", "--raw", path).splitlines():
            if line.startswith('haproxyingress_updates_total{status="full"}'):
                counts[name] = float(line.split()[-1])
    return counts


def set_weights(running, blue):
    value = f"{COLOUR}=blue={blue},{COLOUR}=green={100 - blue}"
    running.kubectl("annotate", "service", SERVICE, f"--namespace={DEV}", "--overwrite", f"{BALANCE}={value}")


def drill(running, name):
    """Run a drill by the command that users run; its report must say pass, its controls included."""
    wait_until_whole(running)
    done = running.slipway("drill", "run", name, "--rate", str(RATE))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"


def test_everything_is_ready(running):
    done = running.slipway("status", "--json")
    assert done.returncode == 0, done.stdout
    names = {it["name"] for it in json.loads(done.stdout)["components"]}
    assert {"node/node1", "node/node2", "node/node3", "ingress/haproxy", "data/postgres"} <= names


def test_crud_through_haproxy_over_tls(running):
    done = running.slipway("loadtest", "run", "crud", "--rate", str(RATE), "--seconds", "30")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"


def test_a_second_up_would_change_nothing(running):
    changed = [project.value for project, stack in running.stacks() if not running.engine.unchanged(project, stack)]
    assert not changed


def test_no_pod_runs_an_image_without_a_digest(running):
    images = {
        container["image"]
        for pod in running.kubectl.get("pods", "--all-namespaces")
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    }
    assert images
    assert [image for image in images if "@sha256:" not in image] == []


def test_weights_shift_without_a_reload(running, tmp_path):
    wait_until_whole(running)
    before = full_updates(running)
    assert before, "the counter must be there, or it proves nothing"
    platform, service = running.outputs(Project.PLATFORM), running.outputs(Project.SERVICE)
    ca = tmp_path / "ca.pem"
    ca.write_text(platform["caCertificate"])
    host = f"{SERVICE}.{DEV}.{platform['domain']}"
    plan = LoadPlan.for_requests(
        SHIFT_REQUESTS,
        rate=RATE,
        scenario="crud",
        base_url=f"https://{host}",
        host=host,
        address=platform["ingressAddress"],
        ca=ca,
        workdir=tmp_path,
        secrets={"SLIPWAY_TOKEN": service["accessKey"]},
    )
    with k6.start(plan) as run:
        for blue in (95, 75, 50, 0, 50, 100):
            time.sleep(4)
            set_weights(running, blue)
        result = run.wait()
    reports.write(page.report(plan, result, name="e2e-weight-shift"), sections=page.sections(result))
    assert (result.exit_class.value, result.failed, result.reasons) == ("pass", 0, ())
    assert full_updates(running) == before


@pytest.mark.parametrize("name", ["app-pod-killed", "app-pod-deleted", "haproxy-pod-deleted"])
def test_a_fault_fails_no_request_and_would_without_protection(running, name):
    drill(running, name)


def test_down_leaves_nothing(running):
    assert residue.find(running.name), "the look must find a cluster that is there, or it proves nothing"
    done = running.slipway("down")
    assert done.returncode == 0, done.stderr
    assert not residue.find(running.name), residue.find(running.name)
