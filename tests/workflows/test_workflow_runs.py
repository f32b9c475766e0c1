"""The workflows really run, by act on this machine, offline: which jobs, with what, and how they end.

`make` and `slipway` are recording stand-ins here: what is proven is the workflows' own logic. Those that ask a cluster
run against one in tests/e2e/workflows.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence

import pytest
from workflow_act import ROOT, SECRET, Repository, Run, real, write_leak

from dashboards.kibana import boards as kibana
from slipway.proof.drills import catalogue
from slipway.scaffold import project

DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry.test/team/slipway/service@{DIGEST}"

# Notes each call; answers as the real one does to what the test has planned (exit codes: docs/reference/cli.md).
# The one real command is the check of the digest: it keeps a bad name away from a cluster.
SLIPWAY = """#!/bin/sh
echo "slipway $*" >> "$RECORD"
if [ -n "$SLIPWAY_SERVICE" ]; then echo "service $SLIPWAY_SERVICE" >> "$RECORD"; fi
if [ -n "$KUBECONFIG" ]; then echo "kubeconfig $(stat -c %a "$KUBECONFIG") $(wc -c < "$KUBECONFIG")" >> "$RECORD"; fi
case "$*" in
  "image push "* | "image publish "*) echo "image=$PUSHED" >> "$GITHUB_OUTPUT" ;;
  "audit sign "*)
    [ -n "$SLIPWAY_SIGNING_KEY" ] && echo "attestation=c2lnbmVk" >> "$GITHUB_OUTPUT"
    mkdir -p build && echo '{{}}' > build/attestation.json ;;
  "audit image "*) mkdir -p build/sbom && echo '{{}}' > build/sbom/image-service.cdx.json ;;
  "audit sign-sbom "*) [ -n "$SLIPWAY_SIGNING_KEY" ] && echo '{{}}' > build/sbom/attestation.json ;;
  "audit verify "*) echo "verifies $SLIPWAY_ATTESTATION with $SLIPWAY_SIGNING_PUBLIC_KEY" >> "$RECORD" ;;
  "image check "*) {real} "$@" ;;
  "logs "*) echo '{{}}' ;;
  "preview --plan "*) echo "stacks=$PLANNED" >> "$3" ;;
  "preview --stack "*)
    mkdir -p build/reports && echo '{{}}' > build/reports/preview.json
    printf '| stack | would change |\\n|---|---|\\n| `%s` | no change |\\n' "$3" > build/reports/preview.md ;;
  "rollout start "* | "rollout rollback "* | "loadtest "* | "drill "* | "preflight "* | "preview "*)
    mkdir -p build/reports build/load
    echo '{{}}' > build/load/plan.json
    echo '{{}}' > build/reports/told.json
    echo '| stack |' > build/preview.md ;;
esac
{fails}
exit 0
"""
ENVIRONMENTS = ("dev", "staging", "production")
VARIABLES = {
    "SLIPWAY_REGISTRY": "registry.test/team",
    "SLIPWAY_DRIFT_ISSUE": "7",
    "SLIPWAY_LOAD_URL": "https://staging.team.test",
    "SLIPWAY_SIGNING_PUBLIC_KEY": "public",
}
SECRETS = {
    "SLIPWAY_SIGNING_KEY": f"{SECRET}-KEY",
    "SLIPWAY_LOAD_TOKEN": f"{SECRET}-LOAD",
    **{name: f"{SECRET}-{name}" for name in ("SLIPWAY_KUBECONFIG", "GITHUB_TOKEN")},
    **{f"SLIPWAY_KUBECONFIG_{name}": f"{SECRET}-{name}" for name in ("DEV", "STAGING", "PRODUCTION")},
    **{name: f"{SECRET}-{name}" for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")},
}


class Recorded(Repository):
    """A repository in which even `slipway` is a stand-in."""

    def run(
        self,
        workflow: str,
        event: str,
        *,
        inputs: Mapping[str, str] | None = None,
        payload: Mapping[str, object] | None = None,
        fails: Mapping[str, int] | None = None,
        unmade: str = "",
        pushed: str = IMAGE,
        planned: Sequence[str] = (),
    ) -> Run:
        """Run a workflow.

        Args:
            workflow: file name without its ending.
            event: what has happened.
            inputs: of a dispatch.
            payload: of the event, if it has more than inputs.
            fails: start of a call of `slipway` -> exit code.
            unmade: target of `make` that fails.
            pushed: what the build says it has pushed.
            planned: the stacks that a change touches.
        """
        cases = " ".join(f'"{start}"*) exit {code} ;;' for start, code in (fails or {}).items())
        self.slipway(SLIPWAY.format(real=real(), fails=f'case "$*" in {cases} esac' if cases else ""))
        self.make(f'case "$*" in {unmade}) exit 1 ;; esac' if unmade else "")
        done = subprocess.run(
            self.command(workflow, event, inputs=inputs, payload=payload, secrets=SECRETS, variables=VARIABLES),
            cwd=self.folder,
            env=self.environment(PUSHED=pushed, PLANNED=json.dumps(planned)),
            capture_output=True,
            text=True,
            check=False,
        )
        return self.told(done.returncode, done.stdout + done.stderr)


@pytest.fixture
def repository(tmp_path, act):
    return Recorded(tmp_path, act)


@pytest.fixture
def run(repository):
    """Run a workflow; nothing secret may be in its log."""

    def go(*arguments, **more):
        result = repository.run(*arguments, **more)
        assert SECRET not in result.log
        assert SECRET not in "\n".join(result.calls)
        assert "Skipping unsupported platform" not in result.log
        return result

    return go


def test_a_step_that_prints_a_secret_would_be_found(repository):
    write_leak(repository.folder, "SLIPWAY_KUBECONFIG")
    result = repository.run("leak", "push")
    assert result.code == 0, result.log[-2000:]
    assert SECRET in result.log


def test_ci_checks_tests_and_builds(run):
    result = run("ci", "push")
    assert result.code == 0, result.log[-2000:]
    # act numbers the runs of a matrix.
    names = ("ci/lint-1", "ci/types-2", "ci/contracts-3", "ci/test", "ci/supply", "ci/image")
    assert result.jobs == dict.fromkeys(names, "success")
    for target in ("lint", "types", "contracts", "setup-test", "unit", "sbom", "audit"):
        assert f"make {target}" in result.calls
    assert result.calls[-3:] == [
        "slipway image build service",
        "make sbom-images IMAGES=service",
        "upload sbom-image image-service.cdx.json ",
    ]


def test_a_known_vulnerability_keeps_the_image_from_being_built_and_lists_are_kept(run):
    result = run("ci", "push", unmade="audit")
    assert result.code != 0
    assert result.jobs["ci/supply"] == "failure"
    assert "ci/image" not in result.jobs
    assert not result.called("slipway image")
    assert "upload sbom service.cdx.json " in result.calls


def test_kind_makes_a_cluster_loads_it_and_takes_pictures(run):
    result = run("kind", "workflow_dispatch")
    assert result.code == 0, result.log[-2000:]
    assert result.jobs == {"kind/kind": "success"}
    order = ["docker login", "slipway image push", "kind create cluster", "slipway up", "slipway status",
             "slipway loadtest run", "slipway dashboards build", "kubectl", "docker compose",
             "curl --fail-with-body", "slipway dashboards send", "google-chrome"]  # fmt: skip
    at = [next(index for index, call in enumerate(result.calls) if call.startswith(it)) for it in order]
    assert at == sorted(at)
    up = result.called("slipway up")[0]
    assert up.count(IMAGE) == 3
    assert result.called("kubectl")
    assert result.called("slipway logs --cluster kind --namespace all --follow --json")
    assert len(result.called("google-chrome")) == len(kibana.ALL)
    assert "upload reports-kind told.json " in result.calls


def test_a_load_that_fails_on_kind_is_red_and_keeps_its_report(run):
    result = run("kind", "workflow_dispatch", fails={"loadtest run": 1})
    assert result.code != 0
    assert "upload reports-kind told.json " in result.calls
    assert not result.called("curl")


def test_a_release_promotes_one_digest_from_environment_to_environment(run):
    result = run("release", "push")
    assert result.code == 0, result.log[-2000:]
    deployed = [f"{it}/deploy/deploy" for it in ENVIRONMENTS]
    own = [f"release/{it}" for it in ("build", "smoke", "load", "verify")]
    assert result.jobs == dict.fromkeys([*deployed, *own], "success")
    assert len(result.called("slipway image push")) == 1
    assert not result.called("slipway image build")
    starts = [
        f"slipway rollout start --environment {it} --image {IMAGE} --commit SHA --attach --wait" for it in ENVIRONMENTS
    ]
    assert [re.sub(r" [0-9a-f]{40} ", " SHA ", it) for it in result.called("slipway rollout start")] == starts
    # Each is looked at after its rollout, and once more before the next one's.
    looked = ["dev", "dev", "staging", "staging", "production"]
    assert result.called("slipway rollout last-good") == [
        f"slipway rollout last-good --environment {it} --expect {IMAGE}" for it in looked
    ]
    assert result.called("slipway rollout history") == [
        f"slipway rollout history --environment {it}" for it in ENVIRONMENTS
    ]
    kept = [
        *(f"upload reports-{it} told.json " for it in ("dev", "smoke", "staging", "load")),
        "upload load-baseline plan.json ",
    ]
    assert result.called("upload attestation")
    of_build = ("upload attestation", "upload sbom")
    uploads = [call for call in result.called("upload") if not call.startswith(of_build)]
    assert uploads == [*kept, *(f"upload reports-{it} told.json " for it in ("production", "verify"))]
    told = [call.partition(" --rate")[0] for call in result.called("slipway loadtest")]
    page = "slipway loadtest gate page --url https://staging.team.test --path /version"
    assert told == [page, "slipway loadtest gate crud --url https://staging.team.test", page]


@pytest.mark.parametrize(
    ("fails", "started", "red"),
    [
        ({"loadtest gate page": 1}, ["dev"], "release/smoke"),
        (
            {"rollout last-good --environment production": 1},
            ["dev", "staging", "production"],
            "production/deploy/deploy",
        ),
    ],
    ids=["not reached from outside", "another one was promoted"],
)
def test_a_version_is_looked_at_after_its_rollout(run, fails, started, red):
    result = run("release", "push", fails=fails)
    assert result.code != 0
    assert result.jobs[red] == "failure"
    assert [it.split()[4] for it in result.called("slipway rollout start")] == started


def test_what_does_not_bear_its_load_does_not_reach_production(run):
    result = run("release", "push", fails={"loadtest gate crud": 1})
    assert result.code != 0
    assert result.jobs["release/load"] == "failure"
    assert len(result.called("slipway rollout start")) == 2
    assert "upload reports-load told.json " in result.calls
    assert not result.called("upload load-baseline")


def test_the_load_is_compared_with_that_of_the_last_good_run_and_with_no_other(repository, run):
    keep_a_load(repository)
    assert run("release", "push").called("gh run download") == [], "there was a run, and it failed after its load"
    repository.last_good("41")
    result = run("release", "push")
    assert result.called("gh run download") == ["gh run download 41 --name load-baseline --dir build/baseline"]


def keep_a_load(repository):
    (repository.kept / "load-baseline").mkdir(parents=True)
    (repository.kept / "load-baseline" / "plan.json").write_text("{}")


@pytest.mark.parametrize("wanted", ["--name", "--pattern"])
def test_the_stand_in_of_gh_makes_no_folder_for_what_nobody_kept(tmp_path, wanted):
    # A gate takes a folder that is there for the run before, and ends if it holds none.
    fake, baseline = Repository(tmp_path, tmp_path / "act"), tmp_path / "build" / "baseline"
    command = [fake.programs / "gh", "run", "download", "7", wanted, "load-baseline", "--dir", baseline]
    assert subprocess.run(command, env=fake.environment(), check=False, capture_output=True).returncode != 0
    assert not baseline.exists()
    keep_a_load(fake)
    subprocess.run(command, env=fake.environment(), check=True, capture_output=True)
    assert [it.name for it in baseline.rglob("*.json")] == ["plan.json"]


def test_what_is_rolled_out_was_signed_by_the_build_and_is_verified_before(run):
    result = run("release", "push")
    assert result.called("slipway audit sign")[0].startswith(f"slipway audit sign {IMAGE} --output")
    assert result.called("verifies") == ["verifies c2lnbmVk with public"] * len(ENVIRONMENTS)
    verified = f"slipway audit verify {IMAGE} --repository https://github.com/team/ours"
    assert result.called("slipway audit verify") == [verified] * len(ENVIRONMENTS)


def test_what_the_pushed_image_holds_is_read_signed_and_kept_before_anything_is_rolled_out(run):
    result = run("release", "push")
    sign = f"slipway audit sign-sbom {IMAGE} --envelope build/sbom/attestation.json"
    order = [f"slipway audit image {IMAGE}", sign, "upload sbom attestation.json image-service.cdx.json "]
    assert [call for call in result.calls if call in order] == order
    assert result.calls.index(order[-1]) < result.calls.index(result.called("slipway rollout start")[0])


@pytest.mark.parametrize("step", ["audit image", "audit sign ", "audit sign-sbom", "audit verify"])
def test_what_cannot_be_signed_or_verified_reaches_no_cluster(run, step):
    result = run("release", "push", fails={step: 1})
    assert result.code != 0
    assert not result.called("slipway rollout")


def test_the_first_release_has_no_run_to_compare_with(run, repository):
    repository.program("gh", "#!/bin/sh\nexit 1\n")
    assert run("release", "push").code == 0


def test_the_kubeconfig_is_a_private_file(run):
    result = run("release", "push")
    # Each job has that of its own environment, told apart by length here.
    assert set(result.called("kubeconfig")) == {f"kubeconfig 600 {len(SECRET) + 1 + len(it)}" for it in ENVIRONMENTS}


@pytest.mark.parametrize("code", [1, 3, 4], ids=["rolled back", "paused", "unreachable"])
def test_a_bad_version_ends_red_with_its_report_and_goes_no_further(run, code):
    result = run("release", "push", fails={"rollout start --environment staging": code})
    assert result.code != 0
    assert len(result.called("slipway rollout start")) == 2
    assert result.called("upload reports") == [f"upload reports-{it} told.json " for it in ("dev", "smoke", "staging")]
    assert not [call for call in result.calls if "production" in call]
    green = dict.fromkeys(["release/build", "dev/deploy/deploy", "release/smoke"], "success")
    assert result.jobs == {**green, "staging/deploy/deploy": "failure"}
    assert result.called("slipway rollout history")[-1] == "slipway rollout history --environment staging"


def test_production_is_judged_before_anything_is_asked_of_it(run):
    result = run("release", "push")
    assert result.called("slipway preflight") == ["slipway preflight --environment production"]
    at = [index for index, call in enumerate(result.calls) if "--environment production" in call]
    asked = ["slipway preflight", *(f"slipway rollout {it}" for it in ("start", "last-good", "history"))]
    assert [result.calls[index].split(" --")[0] for index in at] == asked


@pytest.mark.parametrize("code", [1, 3], ids=["unfit", "cannot be told"])
def test_an_environment_that_is_not_fit_gets_no_version(run, code):
    result = run("release", "push", fails={"preflight --environment production": code})
    assert result.code != 0
    assert result.jobs["production/deploy/deploy"] == "failure"
    assert len(result.called("slipway rollout start")) == 2
    assert "upload reports-production told.json " in result.calls


def test_another_digest_than_the_proven_one_is_not_rolled_out(run):
    result = run("release", "push", fails={"rollout last-good --environment staging": 1})
    assert result.code != 0
    assert len(result.called("slipway rollout start")) == 2


@pytest.mark.parametrize(
    "name", ["registry.test/app:latest", IMAGE[:-1], IMAGE.upper(), f"{IMAGE}; rm -rf /", f"$(id)@{DIGEST}"]
)
def test_whatever_is_no_digest_reaches_no_cluster(run, name):
    result = run("rollback", "workflow_dispatch", inputs={"environment": "production", "reason": "r", "image": name})
    assert result.code != 0
    assert result.called("slipway image check") == [f"slipway image check {name}"]
    assert not result.called("slipway rollout")


def test_a_build_that_names_no_digest_ends_the_release(run):
    result = run("release", "push", pushed="registry.test/app:1")
    assert result.code != 0
    assert not result.called("slipway rollout")


REASON = 'it\'s "slow" $(id) `id`'


def test_a_rollback_takes_back_what_serves_and_records_why(run):
    result = run("rollback", "workflow_dispatch", inputs={"environment": "production", "reason": REASON, "image": ""})
    assert result.code == 0, result.log[-2000:]
    assert result.called("slipway") == [
        f"slipway rollout rollback --environment production --reason {REASON} --wait",
        "slipway rollout last-good --environment production",
    ]
    assert result.jobs == {"rollback/warm": "success"}


def test_a_rollback_after_the_window_says_so_and_is_red(run):
    inputs = {"environment": "production", "reason": "r", "image": ""}
    result = run("rollback", "workflow_dispatch", inputs=inputs, fails={"rollout rollback": 2})
    assert result.code != 0
    assert result.called("slipway rollout last-good"), "which version is good is said all the same"
    assert result.called("upload") == ["upload reports-rollback told.json "]


AGAIN = {"environment": "staging", "reason": "r", "image": IMAGE, "built-by": "42"}


@pytest.fixture
def signed(repository):
    """What a run of `release` has kept."""
    (repository.kept / "attestation").mkdir(parents=True)
    (repository.kept / "attestation" / "attestation.json").write_text("{}")


@pytest.mark.usefixtures("signed")
def test_an_older_version_comes_back_as_a_rollout(run):
    result = run("rollback", "workflow_dispatch", inputs=AGAIN)
    assert result.code == 0, result.log[-2000:]
    assert result.called("gh") == ["gh run download 42 --name attestation --dir build"]
    assert result.called("slipway") == [
        f"slipway image check {IMAGE}",
        f"slipway audit verify {IMAGE} --repository https://github.com/team/ours --envelope build/attestation.json",
        f"slipway rollout start --environment staging --image {IMAGE} --attach --wait",
    ]
    assert result.called("verifies") == ["verifies  with public"]


@pytest.mark.usefixtures("signed")
def test_an_older_version_whose_signature_does_not_hold_reaches_no_cluster(run):
    result = run("rollback", "workflow_dispatch", inputs=AGAIN, fails={"audit verify": 1})
    assert result.code != 0
    assert not result.called("slipway rollout")


def test_an_older_version_without_what_its_build_signed_reaches_no_cluster(run):
    result = run("rollback", "workflow_dispatch", inputs={**AGAIN, "built-by": ""})
    assert result.code != 0
    assert not result.called("slipway rollout")


@pytest.mark.parametrize(("drifted", "state"), [(0, "close"), (1, "reopen")])
def test_drift_is_red_and_one_issue_shows_how_things_are(run, drifted, state):
    result = run("drift", "workflow_dispatch", fails={"preview": drifted})
    assert (result.code != 0) == bool(drifted)
    assert result.called("slipway preview") == [
        "slipway preview --refresh --expect-no-changes --summary build/preview.md"
    ]
    assert len(result.called("gh issue comment 7 --edit-last --create-if-none")) == 1
    assert result.called("gh issue ")[-1] == f"gh issue {state} 7"
    assert result.called("upload") == ["upload reports-drift told.json "]


@pytest.mark.parametrize("failed", [0, 1])
def test_a_restore_that_does_not_hold_is_red_and_its_report_is_kept(run, failed):
    result = run("restore", "workflow_dispatch", fails={"drill": failed})
    assert (result.code != 0) == bool(failed)
    assert result.called("slipway drill") == ["slipway drill restore --environment staging"]
    assert result.called("upload") == ["upload reports-restore told.json "]


STACKS = ("slipway-platform/c", "slipway-service/c-dev")
LISTED = "gh api --paginate repos/team/ours/pulls/12/files --jq .[] | .filename, (.previous_filename // empty)"
COMMENTED = "gh pr comment 12 --edit-last --create-if-none --body-file comment.md"


def pull_request(owner="team/ours"):
    repository = {"full_name": "team/ours"}
    return {"pull_request": {"number": 12, "head": {"repo": {"full_name": owner}}}, "repository": repository}


def comment(repository):
    """What the pull request is told."""
    return (repository.kept / "comment.md").read_text()


@pytest.mark.parametrize("dies", [False, True])
def test_each_stack_that_is_touched_is_previewed_by_a_job_of_its_own(repository, run, dies):
    fails = {f"preview --stack {STACKS[0]}": 1} if dies else {}
    result = run("preview", "pull_request", payload=pull_request(), planned=STACKS, fails=fails)
    assert (result.code != 0) == dies, result.log[-2000:]
    # act numbers the runs of a matrix in any order, and says of those after one that failed that they have failed, too.
    ends = [result.jobs.pop(f"preview/stack-{number}") for number in (1, 2)]
    assert set(ends) == {"success"} if not dies else "failure" in ends
    assert result.jobs == {"preview/plan": "success", "preview/comment": "success"}
    assert result.called("gh api") == [LISTED]
    assert result.called("slipway preview --plan")[0].endswith(" --changed changed")
    assert sorted(result.called("slipway preview --stack")) == [
        f"slipway preview --stack {stack} --summary build/reports/preview.md" for stack in STACKS
    ]
    assert result.called("gh pr comment") == [COMMENTED]
    rows = "".join(f"| `{stack}` | no change |\n" for stack in STACKS)
    assert comment(repository) == f"| stack | would change |\n|---|---|\n{rows}", "one table, with one head"


def test_a_change_that_touches_no_stack_is_told_without_a_preview(repository, run):
    result = run("preview", "pull_request", payload=pull_request())
    assert result.code == 0, result.log[-2000:]
    assert result.jobs == {"preview/plan": "success", "preview/comment": "success"}
    assert not result.called("slipway preview --stack")
    assert result.called("gh pr comment") == [COMMENTED]
    assert comment(repository) == "No stack is touched: nothing to preview.\n"


def test_a_plan_that_dies_is_red_and_told(repository, run):
    result = run("preview", "pull_request", payload=pull_request(), fails={"preview --plan": 1})
    assert result.code != 0
    assert not result.called("slipway preview --stack")
    assert result.called("gh pr comment") == [COMMENTED]
    assert comment(repository).startswith("Nobody could tell which stacks are touched")


def test_a_branch_of_somebody_else_is_not_previewed(run):
    result = run("preview", "pull_request", payload=pull_request("stranger/ours"))
    assert result.code == 0, result.log[-2000:]
    assert (result.jobs, result.calls) == ({}, [])


def test_a_load_test_keeps_its_report_when_it_fails(run):
    inputs = {"scenario": "crud", "rate": "50", "seconds": "60"}
    result = run("loadtest", "workflow_dispatch", inputs=inputs, fails={"loadtest run": 1})
    assert result.code != 0
    assert "make up TARGET=embedded" in result.calls
    assert result.called("slipway loadtest") == ["slipway loadtest run crud --workload constant --rate 50 --seconds 60"]
    assert result.called("upload") == ["upload reports-loadtest told.json "]


def test_one_drill_that_fails_stops_no_other(run):
    result = run("drill", "workflow_dispatch", fails={"drill run node-drain": 1})
    assert result.code != 0
    # act has its own order of a matrix.
    asked = sorted(f"slipway drill run {it.name} --rate 100" for it in catalogue().listed())
    assert sorted(result.called("slipway drill")) == asked
    assert len(result.called("upload reports-drill-")) == len(catalogue().listed())


def test_the_workflows_that_init_writes_release_a_service_that_is_not_ours(tmp_path, act):
    sources = {name: (ROOT / ".github" / name).read_text() for name in project.SOURCES}
    plan = project.Plan("notes", "ours", "team/slipway", "c" * 40, 8000, "/live", "/ready")
    result = Recorded(tmp_path, act, project.files(plan, sources)).run("release", "push")
    assert result.code == 0, result.log[-2000:]
    assert SECRET not in result.log
    assert "make --directory=.slipway venv" in result.calls
    assert result.called("slipway image publish") != []
    started = result.called("slipway rollout start")
    assert [it.partition(" --commit")[0] for it in started] == [
        f"slipway rollout start --environment {it} --image {IMAGE}" for it in ENVIRONMENTS
    ]
    assert set(result.called("service")) == {"service notes"}, "every call is told which service is meant"
