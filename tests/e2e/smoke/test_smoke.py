"""The walking skeleton, end to end: one cluster, tests in the order in which they stand."""

import json
import os
import signal
import time

import pytest

from infra.components.ingress import CONTROLLER_METRICS_PORT
from infra.naming import SERVICE, Environment, Namespace
from loadtests import k6, page
from loadtests.plan import LoadPlan
from slipway import reports
from slipway.node import residue
from slipway.node.pods import container_processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

REQUESTS = 20_000
RATE = int(os.environ.get("SLIPWAY_E2E_RATE", "250"))
BEFORE_FAULT_SECONDS = 10
COLOUR = "slipway.dev/colour"
BALANCE = "haproxy-ingress.github.io/blue-green-balance"
CONFIG_BACKEND = "haproxy-ingress.github.io/config-backend"
DEV = Environment.DEV.value


@pytest.fixture
def load(running, tmp_path):
    """Makes a plan against the live host; every run leaves a report."""
    platform = running.platform()
    ca = tmp_path / "ca.pem"
    ca.write_text(platform["caCertificate"])

    def make(requests, *, rate=RATE):
        host = f"{SERVICE}.{DEV}.{platform['domain']}"
        return LoadPlan.for_requests(
            requests,
            rate=rate,
            scenario="crud",
            base_url=f"https://{host}",
            host=host,
            address=platform["ingressAddress"],
            ca=ca,
            workdir=tmp_path,
            stall=4.0,
        )

    return make


def pods(running, namespace, selector):
    found = running.kubectl.get("pods", f"--namespace={namespace}", f"--selector={selector}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def app_pods(running):
    return pods(running, DEV, "app.kubernetes.io/name=payload,slipway.dev/colour=blue")


def under_load(plan, name, fault):
    """Run the plan, let `fault` happen in its midst, and write the report."""
    with k6.start(plan) as run:
        time.sleep(BEFORE_FAULT_SECONDS)
        fault()
        result = run.wait()
    reports.write(page.report(plan, result, name=name), sections=page.sections(result))
    return result


def delete(running, pod):
    running.kubectl(
        "delete", "pod", pod["metadata"]["name"], f"--namespace={pod['metadata']['namespace']}", "--wait=false"
    )


def kill(running, pod, container):
    for process in container_processes(running.spec, pod, container):
        os.kill(process, signal.SIGKILL)


def full_updates(running):
    """Reloads so far, of every HAProxy pod."""
    counts = {}
    for pod in pods(running, Namespace.INGRESS.value, "app.kubernetes.io/name=haproxy"):
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{Namespace.INGRESS.value}/pods/{name}:{CONTROLLER_METRICS_PORT}/proxy/metrics"
        for line in running.kubectl("get", "--raw", path).splitlines():
            if line.startswith('haproxyingress_updates_total{status="full"}'):
                counts[name] = float(line.split()[-1])
    return counts


def set_weights(running, blue):
    value = f"{COLOUR}=blue={blue},{COLOUR}=green={100 - blue}"
    running.kubectl("annotate", "service", SERVICE, f"--namespace={DEV}", "--overwrite", f"{BALANCE}={value}")


def wait_until_whole(running, seconds=180):
    """Until every part is ready again, so that one test's fault does not meet the next one's."""
    deadline = time.monotonic() + seconds
    while running.slipway("status", "--json").returncode != 0:
        assert time.monotonic() < deadline, running.slipway("status").stdout
        time.sleep(2)


def passed(result):
    return (result.exit_class.value, result.failed, result.reasons) == ("pass", 0, ())


def test_everything_is_ready(running):
    done = running.slipway("status", "--json")
    assert done.returncode == 0, done.stdout


def test_crud_through_haproxy_over_tls(load):
    result = under_load(load(REQUESTS // 4), "e2e-crud", lambda: None)
    assert passed(result), result.reasons


def test_a_second_up_would_change_nothing(running):
    begun = time.monotonic()
    changed = [project.value for project, stack in running.stacks() if not running.engine.unchanged(project, stack)]
    print(f"three previews took {time.monotonic() - begun:.1f} s")
    assert not changed


def test_no_pod_runs_an_image_without_a_digest(running):
    images = {
        container["image"]
        for pod in running.kubectl.get("pods", "--all-namespaces")
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    }
    assert images
    assert [image for image in images if "@sha256:" not in image] == []


def test_an_app_pod_deleted_fails_no_request(running, load):
    result = under_load(load(REQUESTS), "e2e-app-pod-deleted", lambda: delete(running, app_pods(running)[0]))
    assert passed(result), result.reasons


def test_an_app_pod_killed_fails_no_request(running, load):
    wait_until_whole(running)
    result = under_load(load(REQUESTS), "e2e-app-pod-killed", lambda: kill(running, app_pods(running)[0], "service"))
    assert passed(result), result.reasons


def test_a_haproxy_pod_deleted_fails_no_request(running, load):
    wait_until_whole(running)

    def fault():
        delete(running, pods(running, Namespace.INGRESS.value, "app.kubernetes.io/name=haproxy")[0])

    result = under_load(load(REQUESTS), "e2e-haproxy-pod-deleted", fault)
    assert passed(result), result.reasons


def test_weights_shift_without_a_reload(running, load):
    wait_until_whole(running)
    before = full_updates(running)
    assert before, "the counter must be there, or it proves nothing"

    def shift():
        for blue in (95, 75, 50, 0, 50, 100):
            set_weights(running, blue)
            time.sleep(3)

    result = under_load(load(REQUESTS // 2), "e2e-weight-shift", shift)
    assert passed(result), result.reasons
    assert full_updates(running) == before


def test_without_retries_and_pre_stop_the_same_faults_do_fail_requests(running, load):
    """The negative control: what the tests above show is due to these two, and the load would have seen it."""
    wait_until_whole(running)
    running.kubectl("annotate", "service", SERVICE, f"--namespace={DEV}", f"{CONFIG_BACKEND}-")
    for colour in ("blue", "green"):
        patch = json.dumps([{"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}])
        name = f"deployment/{SERVICE}-{colour}"
        running.kubectl("patch", name, f"--namespace={DEV}", "--type=json", f"--patch={patch}")
        running.kubectl("rollout", "status", name, f"--namespace={DEV}", "--timeout=170s", timeout=180)
    wait_until_whole(running)

    def faults():
        for _ in range(3):
            for pod in app_pods(running):
                kill(running, pod, "service")
            time.sleep(8)
            delete(running, app_pods(running)[0])
            time.sleep(4)

    result = under_load(load(REQUESTS // 2), "e2e-negative-control", faults)
    assert result.failed > 0


def test_down_leaves_nothing(running):
    assert residue.find(running.name), "the look must find a cluster that is there, or it proves nothing"
    done = running.slipway("down")
    assert done.returncode == 0, done.stderr
    assert not residue.find(running.name), residue.find(running.name)
