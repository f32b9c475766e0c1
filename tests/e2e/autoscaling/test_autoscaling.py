"""Pods come under load and go after it, and none that serves goes while a version is tried; in this order.

Workers come while messages wait, and go when none does.
"""

import json
import time
from dataclasses import replace

import pytest
from e2e_waiting import at_rest, rollout_state, until, until_rollout

from infra.naming import SERVICE, Environment
from loadtests import k6

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

MOST = 3
#: Messages that each worker may have to itself: few, as exports that wait are few.
EACH = 2
OPTIONS = (
    *("--set", "slipway-service:maxWorkerReplicas", str(MOST)),
    *("--set", "slipway-service:messagesPerWorker", str(EACH)),
    *("--set", "slipway-service:maxReplicas", str(MOST)),
    *("--set", "slipway-service:scaleDownSeconds", "30"),
    *("--set", "slipway-service:rollbackWindow", "30s"),
)
#: What `slipway-service:maxWorkerReplicas` has asked of Prometheus.
WAITING = (
    'max(payload_outbox_messages{namespace="{{namespace}}",service="{{service}}",state="open",colour="{{colour}}"})'
)
DEV = f"--namespace={Environment.DEV.value}"
#: Some times what two pods may use at 70 % of the tenth of a core that each requests.
RATE, SECONDS = 60, 240
#: Exports per second, one after the other, and for how long each: what is too fast depends on the machine.
EXPORTS, EXPORT_SECONDS = (4, 8, 16, 32), 45
#: Figures of CPU are some ten seconds old, autoscalers look every 15 s, pods take their time to start.
COMES_WITHIN, GOES_WITHIN = 200, 300


@pytest.fixture(scope="module", autouse=True)
def asked(running):
    """A standing cluster is told what `OPTIONS` tell one of its own; and told no more afterwards."""
    before = json.loads(running.kubectl("get", "rollout", SERVICE, DEV, "--output=json"))["spec"]
    ours = {"autoscaling": {"maxReplicas": MOST, "scaleDownSeconds": 30}, "rollbackWindow": "30s"}
    queued = {"query": WAITING, "messagesPerWorker": EACH, "maxReplicas": MOST, "scaleDownSeconds": 30}
    _patch(running, {**ours, "workers": {"autoscaling": queued}})
    yield
    given = {"autoscaling": before["workers"].get("autoscaling")}
    _patch(running, {**{name: before.get(name) for name in ours}, "workers": given})


def _patch(running, spec):
    patch = json.dumps({"spec": spec})
    running.kubectl("patch", "rollout", SERVICE, DEV, "--type=merge", f"--patch={patch}")


def pods(running, colour, of=SERVICE):
    """Pods that the Deployment of a colour asks for; and how many of them are ready."""
    found = json.loads(running.kubectl("get", "deployment", f"{of}-{colour}", DEV, "--output=json"))
    return found["spec"]["replicas"], found["status"].get("readyReplicas", 0)


def stable_colour(running):
    found = json.loads(running.kubectl("get", "rollout", SERVICE, DEV, "--output=json"))
    return found["status"]["stable"]["colour"]


def floor(running, colour):
    found = json.loads(running.kubectl("get", "hpa", f"{SERVICE}-{colour}", DEV, "--output=json"))
    return found["spec"]["minReplicas"]


def test_pods_come_under_load_stay_while_a_version_is_tried_and_go_afterwards(running, tmp_path):
    before, colour = at_rest(running), stable_colour(running)
    until_rollout(running, lambda it: it["phase"] in {"Done", "RolledBack"})
    least = json.loads(running.kubectl("get", "rollout", SERVICE, DEV, "--output=json"))["spec"]["replicas"]
    until(60, lambda: floor(running, colour) == least, what="an autoscaler")
    until(GOES_WITHIN, lambda: pods(running, colour) == (least, least), every=5, what="the least number of pods")
    with k6.start(running.plan(tmp_path, RATE, SECONDS)) as run:
        most = (MOST, MOST)
        until(COMES_WITHIN, lambda: pods(running, colour), lambda it: it == most, every=3, what="more pods")
        image = running.another_image()
        assert running.slipway("rollout", "start", "--image", image).returncode == 0
        until_rollout(running, lambda it: it["candidate"] is not None)
        until(30, lambda: floor(running, colour) == MOST, what="a floor that keeps the pods")
        assert running.slipway("rollout", "abort", "--reason", "e2e", "--wait").returncode == 0
        assert pods(running, colour)[0] == MOST
        result = run.finish()
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(running)["stable"] == before["stable"]
    at_rest(running)
    until(GOES_WITHIN, lambda: pods(running, colour), lambda it: it == (least, least), every=5, what="fewer pods")


def test_workers_come_while_messages_wait_and_go_afterwards(running, tmp_path):
    """Exports are asked for faster and faster, until they wait; that workers go says that none waits any more."""
    at_rest(running)
    colour, workers = stable_colour(running), f"{SERVICE}-worker"
    least = json.loads(running.kubectl("get", "rollout", SERVICE, DEV, "--output=json"))["spec"]["workers"]["replicas"]
    few, most, seen = (least, least), (MOST, MOST), (0, 0)
    until(GOES_WITHIN, lambda: pods(running, colour, workers), lambda it: it == few, every=5, what="the least workers")
    for each in EXPORTS:
        with k6.start(replace(running.plan(tmp_path, each, EXPORT_SECONDS), scenario="async")) as run:
            end = time.monotonic() + EXPORT_SECONDS
            while time.monotonic() < end and (seen := pods(running, colour, workers)) != most:
                time.sleep(1)
            result = run.wait()
        assert result.finished is not None, "some exports must have come, however many waited too long"
        if seen == most:
            break
    assert seen == most
    until(GOES_WITHIN, lambda: pods(running, colour, workers), lambda it: it == few, every=5, what="fewer workers")
