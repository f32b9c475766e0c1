"""`release` and `rollback` by act against a real API server, the real controller and a real HAProxy; nodes are played.

Real are also the command line, the signature and the narrow account, made by the how-to's own commands. Stand-ins are
GitHub, `make venv` and the push. Requests run all the time. The same against a whole cluster: tests/e2e/workflows.
"""

import asyncio

import pytest
import rollout_control_plane as plane
from rollout_stage import image, run
from workflow_act import write_leak
from workflow_pipeline import FORBIDDEN, GREEN, PROMOTED, RED, TAKEN_BACK, Account, Pipeline, calls_of

from slipway.node.kube import Kubectl
from slipway.reports import Verdict
from slipway.rollout.status import Phase
from slipway.toolchain import Toolchain

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory):
    with plane.with_rollouts(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def account(control_plane):
    it = Account(Kubectl(Toolchain().ensure(["kubectl"])["kubectl"], control_plane.kubeconfig()), "dev")
    yield it
    it.remove()


@pytest.fixture
def pipeline(act, account, tmp_path):
    return Pipeline(tmp_path / "pipeline", act, {"dev": account})


async def released(pipeline, wanted):
    return await asyncio.to_thread(pipeline.release, wanted)


def test_a_good_version_is_released_by_canary_and_taken_back_without_a_failed_request(
    control_plane, pipeline, tmp_path
):
    async def play(found):
        await found.want(rollbackWindow="10m")
        ended = await released(pipeline, image(2))
        assert ended.code == 0, ended.log[-3000:]
        assert ended.jobs == GREEN
        assert calls_of(ended, image(2)) == PROMOTED
        assert pipeline.report().verdict is Verdict.PASS
        now = await found.rollout()
        assert now.status.last_good_image == image(2)
        assert now.spec.commit.id in ended.called("slipway rollout start")[0]
        inputs = {"environment": "dev", "reason": 'it\'s "slow" $(id)', "image": ""}
        back = await asyncio.to_thread(pipeline.run, "rollback", "workflow_dispatch", inputs=inputs)
        assert back.code == 0, back.log[-3000:]
        assert back.jobs == {"rollback/warm": "success"}
        now = await found.rollout()
        assert now.status.last_good_image == image(1)
        assert image(1) in back.log, "what is good now is said"
        assert now.spec.abort.reason == inputs["reason"]
        assert now.spec.abort.by == "system:serviceaccount:dev:pipeline"
        assert len(found.load.revisions) == 2
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


def test_a_good_version_is_released_by_blue_green_without_a_failed_request(control_plane, pipeline, tmp_path):
    async def play(found):
        await found.want(strategy={"canary": None, "blueGreen": {"approval": False}})
        ended = await released(pipeline, image(2))
        assert ended.code == 0, ended.log[-3000:]
        assert ended.jobs == GREEN
        assert (await found.rollout()).status.last_good_image == image(2)
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


def test_a_bad_version_goes_back_and_the_run_is_red_with_its_report(control_plane, pipeline, tmp_path):
    async def play(found):
        found.played.bad_images.add(image(3))
        ended = await released(pipeline, image(3))
        assert ended.code != 0
        assert ended.jobs == RED
        assert calls_of(ended, image(3)) == TAKEN_BACK
        assert pipeline.report().verdict is Verdict.FAIL
        now = await found.rollout()
        assert now.status.last_good_image == image(1)
        rejected = now.status.rejected[-1].revision
        assert {text.partition(" from ")[2] for text in found.load.failed} == {rejected}
        again = await released(pipeline, image(3))
        assert (again.code != 0, again.jobs) == (True, RED), "a re-run asks for nothing twice, and is red again"
        assert (await found.rollout()).generation == now.generation

    run(control_plane, tmp_path, play)


def test_a_runner_that_dies_loses_no_rollout_and_a_re_run_reports_its_end(control_plane, pipeline, tmp_path):
    async def play(found):
        # Long enough for a runner to die in.
        slow = {
            "name": "errors",
            "source": "error-ratio",
            "maximum": 0.01,
            "interval": "2s",
            "count": 3,
            "minSamples": 20,
        }
        await found.want(analysis={"metrics": [slow]}, rollbackWindow="10m")
        await asyncio.to_thread(pipeline.start, "release", "push", pushed=image(2), job="dev")
        asked = await found.until(lambda it: it.spec.image == image(2) and it.status.phase is Phase.ANALYSING, 120)
        assert await asyncio.to_thread(pipeline.kill) > 0
        await found.until(lambda it: it.status.last_good_image == image(2), 120)
        assert not (pipeline.repository.kept / "reports-dev").exists()
        ended = await released(pipeline, image(2))
        assert ended.code == 0, ended.log[-3000:]
        assert ended.jobs == GREEN
        assert pipeline.report().verdict is Verdict.PASS
        assert (await found.rollout()).generation == asked.generation, "nothing was asked twice"
        assert found.load.failed == []

    run(control_plane, tmp_path, play)


def test_a_step_that_prints_the_token_would_be_found(pipeline):
    write_leak(pipeline.repository.folder, "SLIPWAY_KUBECONFIG_DEV")
    with pytest.raises(AssertionError):
        pipeline.run("leak", "push")
    assert pipeline.secret[-1] in pipeline.log.read_text()


def test_the_account_may_start_and_take_back_and_nothing_else(account):
    assert all(account.may(verb, "rollouts.slipway.dev") for verb in ("patch", "start", "abort"))
    assert not [words for words in FORBIDDEN if account.may(*words)]
