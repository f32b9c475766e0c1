"""Rollouts as people and pipelines do them, by the command line, under load; tests in the order in which they stand."""

import json
import os
import time

import pytest
from e2e_waiting import at_rest, rollout_state, until_rollout

from infra.naming import SERVICE, Environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

RATE = int(os.environ.get("SLIPWAY_E2E_RATE", "100"))
DEV = f"--namespace={Environment.DEV.value}"
CONFIG = f"{SERVICE}-env"
FAULTS = {"SLIPWAY_FAULTS_ALLOWED": "true", "SLIPWAY_FAULTS": json.dumps({"error_rate": 0.5})}


@pytest.fixture
def under_load(loaded):
    return lambda name, play: loaded(f"rollout-{name}", play, rate=RATE)


def test_a_canary_is_promoted_without_a_failed_request(running, under_load):
    before, image = at_rest(running), running.another_image()
    ended = []
    result = under_load("canary", lambda: ended.append(running.slipway("rollout", "start", "--image", image, "--wait")))
    assert ended[0].returncode == 0, f"{ended[0].stdout}\n{ended[0].stderr[-3000:]}"
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(running)["stable"] == image != before["stable"]


def test_the_promoted_version_is_taken_back_without_a_failed_request(running, under_load):
    image = running.another_image()
    ended = []
    result = under_load("rollback", lambda: ended.append(running.slipway("rollout", "rollback", "--wait")))
    assert ended[0].returncode == 0, f"{ended[0].stdout}\n{ended[0].stderr[-3000:]}"
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(running)["stable"] != image


def test_a_version_is_aborted_under_test_without_a_failed_request(running, under_load):
    image, seconds = running.another_image(), []
    at_rest(running)

    def play():
        assert running.slipway("rollout", "start", "--image", image).returncode == 0
        until_rollout(running, lambda found: found["phase"] == "Analysing")
        asked = time.monotonic()
        done = running.slipway("rollout", "abort", "--reason", "e2e", "--wait")
        seconds.append(time.monotonic() - asked)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"

    result = under_load("abort", play)
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(running)["stable"] != image
    assert seconds[0] < 30, "what a person waits, start of the command included"


def test_a_bad_version_goes_back_by_itself_and_harms_only_its_share(running, under_load):
    """The same image, told to fail: what a service is told is part of its version."""
    before = at_rest(running)
    running.kubectl("patch", "configmap", CONFIG, DEV, "--type=merge", f"--patch={json.dumps({'data': FAULTS})}")
    ended = []

    def play():
        until_rollout(running, lambda found: found["phase"] not in {"Done", "WarmStandby", "RolledBack"})
        until_rollout(running, lambda found: found["phase"] == "RolledBack", 600)
        ended.append(rollout_state(running))

    try:
        result = under_load("bad-version", play)
    finally:
        gone = json.dumps({"data": dict.fromkeys(FAULTS)})
        running.kubectl("patch", "configmap", CONFIG, DEV, "--type=merge", f"--patch={gone}")
    assert ended[0]["reason"] == "AnalysisFailed", ended[0]
    assert ended[0]["stable"] == before["stable"]
    assert 0 < result.failed < 0.05 * result.requests, "5 % of the requests, of which half fail, for a part of the time"
    at_rest(running)
