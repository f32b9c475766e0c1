"""The walking skeleton, end to end: one cluster, tests in the order in which they stand."""

import json
import time

import pytest
from e2e_waiting import until, until_whole

from loadtests import k6, page
from slipway import reports
from slipway.node import cgroups, residue

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

SHIFT_REQUESTS = 2_500
KILL_REQUESTS = 5_000  # the proof's 20,000 are in tests/e2e/drills
ROLLOUT_SECONDS = 900
WHOLE_SECONDS = 180


def test_everything_is_ready(running):
    done = running.slipway("status", "--json")
    assert done.returncode == 0, done.stdout
    names = {it["name"] for it in json.loads(done.stdout)["components"]}
    assert {"node/node1", "node/node2", "node/node3", "ingress/haproxy", "data/postgres"} <= names


def test_crud_through_haproxy_over_tls(running, rate):
    done = running.slipway("loadtest", "run", "crud", "--rate", str(rate), "--seconds", "30")
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


def test_programs_share_processors_machine_by_machine(running):
    spec = running.spec
    tracked, *shared = (
        set(file.read_text().split()) for file in cgroups.procs_files(f"{spec.cgroup}/{spec.control_plane.name}")
    )
    assert tracked
    assert [it for it in shared if it != tracked] == []


def test_a_version_is_rolled_out_without_a_failed_request_and_without_a_reload(running, rate, tmp_path):
    until_whole(running, WHOLE_SECONDS)
    image, before = running.another_image(), running.full_updates()
    assert before, "the counter must be there, or it proves nothing"
    plan = running.plan(tmp_path, rate, ROLLOUT_SECONDS)
    with k6.start(plan) as run:
        done = running.slipway("rollout", "start", "--image", image, "--wait")
        # A quick rollout at a low rate is over before: while the old version drains and stays warm, the rest comes.
        until(ROLLOUT_SECONDS, lambda: run.totals().requests > SHIFT_REQUESTS, what="as many requests as are judged")
        time.sleep(plan.answer_limit)
        result = run.finish()
    reports.write(page.report(plan, result, name="e2e-rollout"), sections=page.sections(result))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert (result.failed, result.reasons) == (0, ())
    assert result.requests > SHIFT_REQUESTS
    assert running.full_updates() == before


def test_after_a_rollout_a_second_up_would_still_change_nothing(running):
    changed = [project.value for project, stack in running.stacks() if not running.engine.unchanged(project, stack)]
    assert not changed


def test_kill_minus_nine_fails_no_request_and_would_without_protection(running, rate):
    """A drill by the command that users run: its report must say pass, its negative control included."""
    until_whole(running, WHOLE_SECONDS)
    done = running.slipway("drill", "run", "app-pod-killed", "--rate", str(rate), "--requests", str(KILL_REQUESTS))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"


def test_down_leaves_nothing(running):
    assert residue.find(running.name), "the look must find a cluster that is there, or it proves nothing"
    done = running.slipway("down")
    assert done.returncode == 0, done.stderr
    assert not residue.find(running.name), residue.find(running.name)
