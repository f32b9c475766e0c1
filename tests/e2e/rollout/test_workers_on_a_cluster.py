"""Workers of both colours on a cluster: which of them consume, as their own pods see it, through a rollout and back."""

import json

import pytest
from e2e_waiting import at_rest, rollout_state, until, until_rollout

from infra.naming import SERVICE, Environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

DEV = f"--namespace={Environment.DEV.value}"
SWITCH = "/run/slipway/consumers/colour"
#: Seconds in which kubelets that are told to look show a turned switch to every worker; alone they take a minute.
HANDOVER = 15
#: A twentieth of it is what the first step needs to be judged.
RATE = 30


def workers(running):
    """Colour of each worker that is Ready -> the colour that its own file names."""
    selector = "--selector=slipway.dev/role=worker"
    found = json.loads(running.kubectl("get", "pods", DEV, selector, "--output=json"))
    said = {}
    for pod in found["items"]:
        ready = any(it["type"] == "Ready" and it["status"] == "True" for it in pod["status"].get("conditions", []))
        if ready and not pod["metadata"].get("deletionTimestamp"):
            name = pod["metadata"]["name"]
            colour = running.kubectl("exec", name, DEV, "--container=worker", "--", "cat", SWITCH).strip()
            said[pod["metadata"]["labels"]["slipway.dev/colour"]] = colour
    return said


def stable(running):
    found = json.loads(running.kubectl("get", "rollout", SERVICE, DEV, "--output=json"))["status"]
    return found["stable"]["colour"]


def test_messages_move_with_the_promotion_and_back_with_the_rollback(running, loaded):
    """Under load: a canary that nobody asks anything is judged by nothing, and waits for a person."""
    at_rest(running)
    old = stable(running)
    until(120, lambda: workers(running).get(old), lambda said: said == old, what="a worker that consumes")
    image = running.another_image()
    if rollout_state(running)["stable"] == image:
        image = running.outputs("slipway-service")["image"]

    def play():
        assert running.slipway("rollout", "start", "--image", image).returncode == 0
        until_rollout(running, lambda it: it["phase"] == "Analysing")
        under_test = workers(running)
        assert len(under_test) == 2
        assert set(under_test.values()) == {old}, "the version under test consumes nothing"
        until_rollout(running, lambda it: it["stable"] == image)
        until(HANDOVER, lambda: set(workers(running).values()), lambda said: old not in said, what="the handover")
        assert running.slipway("rollout", "rollback", "--wait").returncode == 0
        until(HANDOVER, lambda: set(workers(running).values()), lambda said: said == {old}, what="the way back")

    assert loaded("rollout-workers", play, rate=RATE).failed == 0
    at_rest(running)


def test_a_worker_that_starts_while_no_controller_runs_reads_the_switch(running):
    at_rest(running)
    old = stable(running)
    system = "--namespace=slipway-system"
    running.kubectl("scale", "deployment/slipway-rollout", system, "--replicas=0")
    try:
        running.kubectl("delete", "pod", DEV, f"--selector=slipway.dev/role=worker,slipway.dev/colour={old}")
        until(120, lambda: workers(running).get(old), lambda said: said == old, what="another worker that consumes")
    finally:
        running.kubectl("scale", "deployment/slipway-rollout", system, "--replicas=2")
