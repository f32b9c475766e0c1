"""The workflows `release` and `rollback` by act against a cluster, under load; tests in the order in which they stand.

Real are the command line, the signature, the narrow account of the how-to, the rollouts and the load. Stand-ins are
GitHub, `make venv` and the push. Of `release` its build and its first environment run, as a cluster has that one.
"""

import json
import os

import pytest
from e2e_waiting import at_rest, rollout_state, until_rollout
from workflow_act import write_leak
from workflow_cluster import accounts, version
from workflow_pipeline import FORBIDDEN, GREEN, PROMOTED, RED, TAKEN_BACK, Pipeline, calls_of

from infra.naming import SERVICE, Environment
from slipway.reports import Verdict

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

DEV = f"--namespace={Environment.DEV.value}"
RATE = int(os.environ.get("SLIPWAY_E2E_RATE", "50"))
FAULTS = {"SLIPWAY_FAULTS_ALLOWED": "true", "SLIPWAY_FAULTS": json.dumps({"error_rate": 0.5})}


@pytest.fixture(scope="module")
def made(running):
    with accounts(running) as it:
        yield it


@pytest.fixture
def pipeline(act, made, tmp_path):
    return Pipeline(tmp_path / "pipeline", act, made)


def test_a_good_version_is_released_by_canary_without_a_failed_request(running, loaded, pipeline, tmp_path):
    before, image = at_rest(running), version(running, tmp_path / "image")
    runs = []
    result = loaded("workflow-canary", lambda: runs.append(pipeline.release(image)), rate=RATE)
    [run] = runs
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == GREEN
    assert calls_of(run, image) == PROMOTED
    assert (result.failed, result.reasons) == (0, ())
    assert set(result.colours) == {"blue", "green"}
    assert rollout_state(running)["stable"] == image != before["stable"]
    assert pipeline.report().verdict is Verdict.PASS
    [rollout] = running.kubectl.get("rollout", SERVICE, DEV)
    assert rollout["status"]["lastGoodDigest"] == image.partition("@")[2]
    assert rollout["spec"]["commit"]["id"] in run.called("slipway rollout start")[0]


def test_what_serves_is_taken_back_by_the_workflow_without_a_failed_request(running, loaded, pipeline):
    before = rollout_state(running)["stable"]
    inputs = {"environment": "dev", "reason": 'it\'s "slow" $(id)', "image": ""}
    runs = []
    result = loaded(
        "workflow-rollback",
        lambda: runs.append(pipeline.run("rollback", "workflow_dispatch", inputs=inputs)),
        rate=RATE,
    )
    [run] = runs
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == {"rollback/warm": "success"}
    assert (result.failed, result.reasons) == (0, ())
    after = rollout_state(running)["stable"]
    assert after != before
    assert after in run.log, "what is good now is said"


def test_an_older_version_comes_back_by_what_its_build_signed_without_a_failed_request(
    running, loaded, pipeline, tmp_path
):
    at_rest(running)
    older, newer = version(running, tmp_path / "older"), version(running, tmp_path / "newer")
    inputs = {"environment": "dev", "reason": "slow", "image": older, "built-by": "42"}
    runs = []

    def play():
        runs.append(pipeline.release(older))
        done = running.slipway("rollout", "start", "--image", newer, "--wait")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        runs.append(pipeline.run("rollback", "workflow_dispatch", inputs=inputs))
        # What a build did not sign is refused before the cluster is asked.
        runs.append(pipeline.run("rollback", "workflow_dispatch", inputs={**inputs, "image": newer}))

    result = loaded("workflow-rollback-again", play, rate=RATE)
    release, run, unsigned = runs
    assert release.code == 0, release.log[-3000:]
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == {"rollback/again": "success"}
    assert run.called("gh") == ["gh run download 42 --name attestation --dir build"]
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(running)["stable"] == older
    assert unsigned.jobs == {"rollback/again": "failure"}
    assert unsigned.called("slipway audit verify")
    assert not unsigned.called("slipway rollout")


def test_a_good_version_is_released_by_blue_green_without_a_failed_request(running, loaded, pipeline, tmp_path):
    at_rest(running)
    image = version(running, tmp_path / "image")
    [rollout] = running.kubectl.get("rollout", SERVICE, DEV)
    strategy = rollout["spec"]["strategy"]

    def become(one, other):
        change = {"spec": {"strategy": {**dict.fromkeys(other), **one}}}
        running.kubectl("patch", "rollout", SERVICE, DEV, "--type=merge", f"--patch={json.dumps(change)}")

    blue_green = {"blueGreen": {"approval": False}}
    become(blue_green, strategy)
    runs = []
    try:
        result = loaded("workflow-blue-green", lambda: runs.append(pipeline.release(image)), rate=RATE)
    finally:
        become(strategy, blue_green)
    [run] = runs
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == GREEN
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(running)["stable"] == image


def test_a_bad_version_goes_back_and_the_run_is_red_with_its_report(running, loaded, pipeline, tmp_path):
    before, image = at_rest(running), version(running, tmp_path / "image", **FAULTS)
    runs = []
    result = loaded("workflow-bad", lambda: runs.append(pipeline.release(image)), rate=RATE)
    [run] = runs
    assert run.code != 0
    assert run.jobs == RED
    assert calls_of(run, image) == TAKEN_BACK
    state = rollout_state(running)
    assert (state["stable"], state["reason"]) == (before["stable"], "AnalysisFailed")
    assert pipeline.report().verdict is Verdict.FAIL
    [rollout] = running.kubectl.get("rollout", SERVICE, DEV)
    assert result.colours[rollout["status"]["stable"]["colour"]].failed == 0, "the version that serves failed nothing"
    assert 0 < result.failed < 0.05 * result.requests, "5 % of the requests, of which half fail, for a part of the time"


def test_a_runner_that_dies_loses_no_rollout_and_a_re_run_reports_its_end(running, loaded, pipeline, tmp_path):
    at_rest(running)
    image, runs = version(running, tmp_path / "image"), []

    def play():
        pipeline.start("release", "push", pushed=image, job="dev")
        until_rollout(running, lambda it: it["candidate"] == image and it["phase"] == "Analysing")
        assert pipeline.kill() > 0
        asked = running.kubectl.get("rollout", SERVICE, DEV)[0]["metadata"]["generation"]
        until_rollout(running, lambda it: it["stable"] == image)
        assert not (pipeline.repository.kept / "reports-dev").exists()
        runs.extend((asked, pipeline.release(image)))

    result = loaded("workflow-killed", play, rate=RATE)
    asked, run = runs
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == GREEN
    assert pipeline.report().verdict is Verdict.PASS
    assert running.kubectl.get("rollout", SERVICE, DEV)[0]["metadata"]["generation"] == asked, "nothing was asked twice"
    assert (result.failed, result.reasons) == (0, ())


def test_a_step_that_prints_the_token_would_be_found(pipeline):
    write_leak(pipeline.repository.folder, "SLIPWAY_KUBECONFIG_DEV")
    with pytest.raises(AssertionError):
        pipeline.run("leak", "push")
    assert pipeline.secrets["SLIPWAY_KUBECONFIG_DEV"].splitlines()[0] in pipeline.log.read_text()


def test_the_account_may_start_and_take_back_and_nothing_else(made):
    assert all(made["dev"].may(verb, "rollouts.slipway.dev") for verb in ("patch", "start", "abort"))
    assert not [words for words in FORBIDDEN if made["dev"].may(*words)]
