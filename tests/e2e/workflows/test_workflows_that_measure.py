"""The workflows `loadtest`, `drill` and `restore` by act: `make up`, load, faults, backups and the cluster are real.

Stand-ins are GitHub and `make venv`. A runner of GitHub makes the cluster of `loadtest` and `drill` for itself; here it
is there already, so `make up` changes nothing. The environment `staging` and backups are turned on first, and stay.
"""

import pytest
from workflow_cluster import accounts, know_stacks, make_clusters
from workflow_pipeline import Pipeline

from infra.naming import Environment
from slipway.reports import Verdict

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

MADE = "make up TARGET=embedded"
DRILL = "app-pod-killed"
#: More requests per second than the two versions of the service can answer on any machine of the tests.
TOO_MANY = "1500"


@pytest.fixture
def pipeline(running, act, tmp_path):
    with accounts(running) as made:
        yield Pipeline(tmp_path / "pipeline", act, made)


def test_load_is_judged_by_the_workflow_and_its_report_is_kept(running, rate, pipeline):
    make_clusters(pipeline, running)
    run = pipeline.run("loadtest", "workflow_dispatch", inputs={"rate": str(rate), "seconds": "60"})
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == {"loadtest/loadtest": "success"}
    asked = f"slipway loadtest run crud --workload constant --rate {rate} --seconds 60"
    assert [it.strip() for it in run.calls if not it.startswith("upload")] == ["make venv", MADE, asked]
    assert pipeline.uploaded("reports-loadtest", "loadtest-crud").verdict is Verdict.PASS


def test_more_than_can_be_borne_is_red_and_its_report_is_kept(running, pipeline):
    make_clusters(pipeline, running)
    run = pipeline.run("loadtest", "workflow_dispatch", inputs={"rate": TOO_MANY, "seconds": "10"})
    assert run.code != 0
    assert run.jobs == {"loadtest/loadtest": "failure"}
    assert pipeline.uploaded("reports-loadtest", "loadtest-crud").verdict is Verdict.FAIL


def test_a_drill_is_run_by_the_workflow(running, rate, pipeline):
    make_clusters(pipeline, running)
    pipeline.variables["SLIPWAY_DRILL_RATE"] = str(rate)
    run = pipeline.run("drill", "workflow_dispatch", matrix=f"drill:{DRILL}")
    assert run.code == 0, run.log[-3000:]
    assert set(run.jobs.values()) == {"success"}
    assert len(run.jobs) == 1
    told = [it.strip() for it in run.calls if not it.startswith("upload")]
    assert told == ["make venv", f"{MADE} ARGS=", f"slipway drill run {DRILL} --rate {rate}"]
    assert pipeline.uploaded(f"reports-drill-{DRILL}", f"drill-{DRILL}").verdict is Verdict.PASS


def test_a_restore_is_tried_by_the_workflow_from_backend_and_passphrase_alone(running, pipeline):
    wanted = ("--environment", Environment.STAGING.value, "--set", "slipway-platform:backups", "managed")
    done = running.slipway("up", *wanted)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    know_stacks(pipeline, running)
    run = pipeline.run("restore", "workflow_dispatch")
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == {"restore/restore": "success"}
    assert run.called("slipway") == ["slipway drill restore --environment staging"]
    assert pipeline.uploaded("reports-restore", "drill-restore").verdict is Verdict.PASS
