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
#: The jobs that follow the load gate.
AFTER_THE_LOAD = {"production/deploy/deploy", "release/verify"}
COMPARED = "loadtest-compare"


@pytest.fixture(scope="module")
def environments(running):
    for environment in (Environment.STAGING, Environment.PRODUCTION):
        done = running.slipway("up", "--environment", environment.value)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with accounts(running) as made:
        yield made


@pytest.fixture(scope="module")
def pipeline(running, environments, act, tmp_path_factory):
    it = Pipeline(tmp_path_factory.mktemp("release") / "pipeline", act, environments, ways(running))
    it.variables["SLIPWAY_LOAD_RATE"] = str(RATE)
    return it


def ways(running):
    return {it.value: reached(running, it) for it in Environment}


def targets(environment):
    return ("--environment", environment.value)


@contextlib.contextmanager
def users(running, tmp_path, environments, of):
    """Users of environments all the while; what they met is in the mapping at the end."""
    met = {}
    with contextlib.ExitStack() as stack:
        plans = {it.value: running.plan(tmp_path, RATE, LONGEST, it) for it in environments}
        loads = {name: stack.enter_context(k6.start(plan)) for name, plan in plans.items()}
        yield met
        met |= {name: load.finish() for name, load in loads.items()}
    for name, result in met.items():
        made = page.report(plans[name], result, name=f"e2e-{of}-{name}")
        reports.write(made, sections=page.sections(result))


def failures(met):
    return {name: (it.failed, it.reasons) for name, it in met.items()}


def none_of(environments):
    return {it.value: (0, ()) for it in environments}


def test_one_digest_goes_through_every_environment_without_a_failed_request(running, pipeline, tmp_path):
    image = version(running, tmp_path / "image")
    for environment in Environment:
        at_rest(running, target=targets(environment))
    with users(running, tmp_path, Environment, "whole-release") as met:
        run = pipeline.run("release", "push", pushed=image)
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == WHOLE
    assert failures(met) == none_of(Environment)
    asked = [call.partition("--url ")[2].split()[0] for call in run.called("slipway loadtest gate")]
    assert asked == [f"https://{it.host}" for it in ways(running).values()]
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
    assert not (pipeline.repository.kept / "reports-load" / f"{COMPARED}.json").exists(), "there was none before"


def test_the_load_of_the_next_release_is_compared_with_that_of_the_last(running, pipeline, tmp_path):
    before_production = (Environment.DEV, Environment.STAGING)
    image = version(running, tmp_path / "image")
    pipeline.repository.last_good("41")
    for environment in before_production:
        at_rest(running, target=targets(environment))
    with users(running, tmp_path, before_production, "next-release") as met:
        run = pipeline.run("release", "push", pushed=image, job="load")
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == {name: end for name, end in WHOLE.items() if name not in AFTER_THE_LOAD}
    assert failures(met) == none_of(before_production)
    assert run.called("gh run download") == ["gh run download 41 --name load-baseline --dir build/baseline"]
    found = pipeline.uploaded("reports-load", COMPARED)
    assert found.verdict is Verdict.PASS, [bar for bar in found.bars if not bar.holds]
