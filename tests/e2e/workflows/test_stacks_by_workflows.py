"""The workflows `drift` and `preview` by act on the stacks of a cluster: Pulumi, its state and the cluster are real.

Stand-ins are GitHub and `make venv`. As on a runner, nothing is known of the stacks but the backend and the passphrase.
"""

import pytest
from workflow_cluster import accounts, know_stacks
from workflow_pipeline import Pipeline

from infra.naming import SERVICE, Environment, Project, service_stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

DEV = f"--namespace={Environment.DEV.value}"
POLICY = ("networkpolicy", SERVICE, DEV)
#: Answers as `gh api` does when it is asked which files a pull request changes.
CHANGES = 'case "$1" in api) printf "helm/service/values.yaml\\ndocs/a.md\\n" ;; esac\n'


@pytest.fixture
def pipeline(running, act, tmp_path):
    with accounts(running) as made:
        it = Pipeline(tmp_path / "pipeline", act, made)
        know_stacks(it, running)
        it.variables["SLIPWAY_DRIFT_ISSUE"] = "7"
        yield it


def table(path):
    """Stack -> what would change, as a person is told."""
    rows = [line.strip("| ").split(" | ") for line in path.read_text().splitlines()[2:]]
    return {stack.strip("`"): told for stack, told in rows}


def stacks(running, *projects):
    """The cluster's, of these projects; other environments than `dev` may have theirs."""
    there = running.engine.stacks_of(running.name)
    return {f"{project.value}/{stack}" for project, stack in there if project in projects}


def test_nothing_has_drifted_from_the_stacks_and_what_somebody_changes_by_hand_is_found(running, pipeline):
    run = pipeline.run("drift", "workflow_dispatch")
    assert run.code == 0, run.log[-3000:]
    assert run.jobs == {"drift/drift": "success"}
    summary = pipeline.repository.kept / "comment.md"
    assert table(summary) == dict.fromkeys(stacks(running, *Project), "no change")
    assert run.called("gh issue")[-1] == "gh issue close 7"

    [before] = running.kubectl.get(*POLICY)
    running.kubectl("patch", *POLICY, "--type=merge", '--patch={"spec": {"ingress": [{}]}}')
    try:
        run = pipeline.run("drift", "workflow_dispatch")
    finally:
        done = running.slipway("up", "--refresh")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [after] = running.kubectl.get(*POLICY)
    assert after["spec"] == before["spec"], "taken back"
    assert run.code != 0
    assert run.jobs == {"drift/drift": "failure"}
    told = table(summary)
    assert told.pop(f"{Project.SERVICE.value}/{service_stack(running.name, Environment.DEV)}") == "1 update"
    assert set(told.values()) == {"no change"}
    assert run.called("gh issue")[-1] == "gh issue reopen 7"


def test_a_pull_request_is_told_what_would_change_in_the_stacks_that_it_touches(running, pipeline):
    gh = (pipeline.repository.programs / "gh").read_text()
    pipeline.repository.program("gh", gh + CHANGES)
    repository = {"full_name": "team/ours"}
    request = {"pull_request": {"number": 12, "head": {"repo": repository}}, "repository": repository}
    run = pipeline.run("preview", "pull_request", payload=request)
    assert run.code == 0, run.log[-3000:]
    assert {name.partition("-")[0]: end for name, end in run.jobs.items()} == dict.fromkeys(
        ("preview/plan", "preview/stack", "preview/comment"), "success"
    )
    touched = stacks(running, Project.SERVICE)
    assert table(pipeline.repository.kept / "comment.md") == dict.fromkeys(touched, "no change")
    assert len(run.called("gh pr comment 12")) == 1
