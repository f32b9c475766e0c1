"""The workflow `release` as a whole by act: one digest through dev, staging and production of a cluster, under load.

Real are the command line, the signature, the narrow account of each environment, what is read from outside, the load
gate, the judgement of production before and the rollouts. Stand-ins are GitHub, `make venv` and the push. The
environments staging and production are made first, and stay.
"""

import contextlib
import os

import pytest
from e2e_waiting import at_rest, rollout_state
from workflow_cluster import accounts, reached, version
from workflow_pipeline import WHOLE, Pipeline

from infra.naming import SERVICE, Environment
from loadtests import k6, page
from slipway import reports
from slipway.reports import Verdict

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

#: For each of the three; a canary that gets one of twenty is judged on twenty of its answers.
RATE = int(os.environ.get("SLIPWAY_E2E_RATE", "25"))
LONGEST = 2400


@pytest.fixture(scope="module")
def environments(running):
    for environment in (Environment.STAGING, Environment.PRODUCTION):
        done = running.slipway("up", "--environment", environment.value)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with accounts(running) as made:
        yield made


def targets(environment):
    return ("--environment", environment.value)


def test_one_digest_goes_through_every_environment_without_a_failed_request(running, environments, act, tmp_path):
    ways = {it.value: reached(running, it) for it in Environment}
    pipeline = Pipeline(tmp_path / "pipeline", act, environments, ways)
    pipeline.variables["SLIPWAY_LOAD_RATE"] = str(RATE)
    image = version(running, tmp_path / "image")
    for environment in Environment:
        at_rest(running, target=targets(environment))
    with contextlib.ExitStack() as stack:
        plans = {it.value: running.plan(tmp_path, RATE, LONGEST, it) for it in Environment}
        loads = {name: stack.enter_context(k6.start(plan)) for name, plan in plans.items()}
        run = pipeline.run("release", "push", pushed=image)
        users = {name: load.finish() for name, load in loads.items()}
    for name, result in users.items():
        made = page.report(plans[name], result, name=f"e2e-whole-release-{name}")
        reports.write(made, sections=page.sections(result))
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == WHOLE
    assert {name: (it.failed, it.reasons) for name, it in users.items()} == dict.fromkeys(ways, (0, ()))
    asked = [call.partition("--url ")[2].split()[0] for call in run.called("slipway loadtest gate")]
    assert asked == [f"https://{ways[name].host}" for name in ("dev", "staging", "production")]
    starts = [call.split()[4] for call in run.called("slipway rollout start")]
    assert starts == [it.value for it in Environment], "in their order, each once"
    for environment in Environment:
        assert rollout_state(running, *targets(environment))["stable"] == image
        [rollout] = running.kubectl.get("rollout", SERVICE, f"--namespace={environment.value}")
        assert rollout["status"]["lastGoodDigest"] == image.partition("@")[2]
        assert pipeline.report(environment.value).verdict is Verdict.PASS
    told = {
        "reports-smoke": "loadtest-page",
        "reports-load": "loadtest-crud",
        "reports-production": "preflight-production",
        "reports-verify": "loadtest-page",
    }
    for folder, name in told.items():
        found = pipeline.uploaded(folder, name)
        assert found.verdict is Verdict.PASS, (folder, [bar for bar in found.bars if not bar.holds])
