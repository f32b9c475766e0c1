"""The workflows really run, by act on this machine, offline: which jobs, with what, and how they end.

`make` and `slipway` are recording stand-ins here: what is proven is the workflows' own logic, never a deployment.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway.proof.drills import catalogue
from slipway.scaffold import project
from slipway.toolchain import Toolchain

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry.test/team/slipway/service@{DIGEST}"
SECRET = "apiVersion-of-a-cluster-nobody-may-read"
NOTHING_LISTENS = "http://127.0.0.1:1"

# Notes each call; answers as the real one does to what the test has planned (exit codes: docs/reference/cli.md).
SLIPWAY = """#!/bin/sh
echo "slipway $*" >> "$RECORD"
if [ -n "$SLIPWAY_SERVICE" ]; then echo "service $SLIPWAY_SERVICE" >> "$RECORD"; fi
if [ -n "$KUBECONFIG" ]; then echo "kubeconfig $(stat -c %a "$KUBECONFIG") $(wc -c < "$KUBECONFIG")" >> "$RECORD"; fi
case "$*" in
  "image push "* | "image publish "*) echo "image=$PUSHED" >> "$GITHUB_OUTPUT" ;;
  "audit sign "*)
    [ -n "$SLIPWAY_SIGNING_KEY" ] && echo "attestation=c2lnbmVk" >> "$GITHUB_OUTPUT"
    mkdir -p build && echo '{{}}' > build/attestation.json ;;
  "audit verify "*) echo "verifies $SLIPWAY_ATTESTATION with $SLIPWAY_SIGNING_PUBLIC_KEY" >> "$RECORD" ;;
  "image check "*) exec {python} -m slipway "$@" ;;
  "rollout start "* | "rollout rollback "* | "loadtest "* | "drill run "* | "preflight "* | "preview "*)
    mkdir -p build/reports build/load
    echo '{{}}' > build/load/plan.json
    echo '{{}}' > build/reports/told.json
    echo '| stack |' > build/preview.md ;;
esac
{fails}
exit 0
"""
MAKE = """#!/bin/sh
echo "make $*" >> "$RECORD"
case "$*" in sbom) mkdir -p build/sbom && echo '{{}}' > build/sbom/service.cdx.json ;; esac
{fails}
exit 0
"""
NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$RECORD"\n'
# Answers at once, but for what a port-forward must open first: then it tries again, as the real one is told to.
CURL = f"""{NOTE}case "$*" in
  *--retry-connrefused*) n=0; until grep -q port-forward "$RECORD" || [ $n -ge 300 ]; do n=$((n+1)); sleep 0.1; done ;;
esac
"""
SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
GH = '#!/bin/sh\necho "gh $*" >> "$RECORD"\n'
NOTHING = "runs:\n  using: composite\n  steps:\n    - run: 'true'\n      shell: sh\n"
UPLOAD = """inputs: {name: {}, path: {}, if-no-files-found: {}}
runs:
  using: composite
  steps:
    - run: echo "upload $NAME $(ls "$FOLDER" 2>/dev/null | tr '\\n' ' ')" >> "$RECORD"
      shell: sh
      env:
        NAME: ${{ inputs.name }}
        FOLDER: ${{ inputs.path }}
"""


@dataclass(frozen=True)
class Run:
    """One run: its exit code, how each job ended, what was called in which order, all that was logged."""

    code: int
    jobs: dict[str, str]
    calls: list[str]
    log: str

    def called(self, start: str) -> list[str]:
        return [call for call in self.calls if call.startswith(start)]


class Repository:
    """A repository with the workflows of ours and stand-ins for all that they call."""

    def __init__(self, folder: Path, act: Path, files: Mapping[str, str] | None = None) -> None:
        self.folder = folder / "repository"
        self.act = act
        self.record = folder / "record"
        self.home = folder / "home"
        self.programs = folder / "programs"
        self.actions = folder / "actions"
        self.tool = self.folder if files is None else self.folder / ".slipway"
        if files is None:
            shutil.copytree(ROOT / ".github", self.folder / ".github")
        for path, text in (files or {}).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        stands = (("sudo", SUDO), ("gh", GH), ("curl", CURL), *((it, NOTE) for it in ("docker", "kind", "kubectl")))
        for name, text in stands:
            self._program(self.programs / name, text)
        for name in ("checkout", "setup-go", "setup-python", "upload-artifact"):
            path = self.actions / name / "action.yml"
            path.parent.mkdir(parents=True)
            path.write_text(UPLOAD if name == "upload-artifact" else NOTHING)
        self.home.mkdir()

    def _program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def _commit(self) -> None:
        for words in (
            ["init", "-q", "-b", "main"],
            ["remote", "add", "origin", "https://github.com/team/ours"],
            ["add", "-A", "-f"],
            ["commit", "-qm", "all"],
        ):
            who = ["-c", "user.name=a", "-c", "user.email=a@b.test"]
            subprocess.run(["git", *who, *words], cwd=self.folder, check=True, env=self._environment())

    def _environment(self, **more: str) -> dict[str, str]:
        path = f"{self.programs}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
        offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), NOTHING_LISTENS)
        return {"HOME": str(self.home), "PATH": path, "RECORD": str(self.record), "PUSHED": IMAGE, **offline, **more}

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
        """
        cases = " ".join(f'"{start}"*) exit {code} ;;' for start, code in (fails or {}).items())
        text = SLIPWAY.format(python=self.programs / "python", fails=f'case "$*" in {cases} esac' if cases else "")
        self._program(self.tool / ".venv" / "bin" / "slipway", text)
        broken = f'case "$*" in {unmade}) exit 1 ;; esac' if unmade else ""
        self._program(self.programs / "make", MAKE.format(fails=broken))
        # The one real command: the check of the digest is what keeps a bad name away from a cluster.
        python = f'#!/bin/sh\nexport PYTHONPATH={ROOT}\nexec {sys.executable} "$@"\n'
        self._program(self.programs / "python", python)
        told = self.folder.parent / "event.json"
        told.write_text(json.dumps({"inputs": dict(inputs or {}), **(payload or {})}))
        self._commit()
        command = [
            *(self.act, event, f"--workflows=.github/workflows/{workflow}.yml", f"--eventpath={told}", "--json"),
            *(
                "--platform=ubuntu-24.04=-self-hosted",
                "--action-offline-mode",
                "--no-cache-server",
                "--concurrent-jobs=1",
                # Else act puts *** in the place of each secret, and no log of it could ever hold one.
                "--insecure-secrets",
            ),
            *(f"--action-cache-path={self.home / 'actions'}", "--var=SLIPWAY_REGISTRY=registry.test/team"),
            "--var=SLIPWAY_DRIFT_ISSUE=7",
            "--var=SLIPWAY_LOAD_URL=https://staging.team.test",
            f"--secret=SLIPWAY_SIGNING_KEY={SECRET}-KEY",
            "--var=SLIPWAY_SIGNING_PUBLIC_KEY=public",
            f"--secret=SLIPWAY_LOAD_TOKEN={SECRET}-LOAD",
            *(f"--secret={name}={SECRET}-{name}" for name in ("SLIPWAY_KUBECONFIG", "GITHUB_TOKEN")),
            *(f"--secret=SLIPWAY_KUBECONFIG_{name}={SECRET}-{name}" for name in ("DEV", "STAGING", "PRODUCTION")),
            *(f"--secret={name}={SECRET}-{name}" for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")),
            *(f"--input={key}={value}" for key, value in (inputs or {}).items()),
            *(f"--local-repository={pin}={self.actions / pin.partition('/')[2].partition('@')[0]}" for pin in pins()),
        ]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(PUSHED=pushed), capture_output=True, text=True, check=False
        )
        log = done.stdout + done.stderr
        jobs: dict[str, str] = {}
        for line in log.splitlines():
            if line.startswith("{") and "jobResult" in line:
                it = json.loads(line)
                jobs[it["job"].strip()] = it["jobResult"]
        calls = self.record.read_text().splitlines() if self.record.exists() else []
        return Run(done.returncode, jobs, calls, log)


def pins() -> list[str]:
    lines = (ROOT / ".github" / "actions.lock").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [f"{name}@{commit}" for name, _, commit in rows]


@pytest.fixture(scope="session")
def act():
    return Toolchain().ensure(["act"])["act"]


@pytest.fixture
def repository(tmp_path, act):
    return Repository(tmp_path, act)


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


LEAK = """on: push
permissions: {}
jobs:
  leak:
    runs-on: ubuntu-24.04
    steps:
      - run: echo "$TOLD"
        env:
          TOLD: ${{ secrets.SLIPWAY_KUBECONFIG }}
"""


def test_a_step_that_prints_a_secret_would_be_found(repository):
    (repository.folder / ".github" / "workflows" / "leak.yml").write_text(LEAK)
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
    assert result.calls[-1] == "slipway image build service"


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
             "curl --fail-with-body"]  # fmt: skip
    at = [next(index for index, call in enumerate(result.calls) if call.startswith(it)) for it in order]
    assert at == sorted(at)
    up = result.called("slipway up")[0]
    assert up.count(IMAGE) == 3
    assert result.called("kubectl")
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
    assert result.jobs == dict.fromkeys(["release/build", *deployed, "release/load"], "success")
    assert len(result.called("slipway image push")) == 1
    assert not result.called("slipway image build")
    starts = [
        f"slipway rollout start --environment {it} --image {IMAGE} --commit SHA --attach --wait" for it in ENVIRONMENTS
    ]
    assert [re.sub(r" [0-9a-f]{40} ", " SHA ", it) for it in result.called("slipway rollout start")] == starts
    assert result.called("slipway rollout last-good") == [
        f"slipway rollout last-good --environment dev --expect {IMAGE}",
        f"slipway rollout last-good --environment staging --expect {IMAGE}",
    ]
    kept = [
        *(f"upload reports-{it} told.json " for it in ("dev", "staging", "load")),
        "upload load-baseline plan.json ",
    ]
    assert result.called("upload attestation")
    uploads = [call for call in result.called("upload") if not call.startswith("upload attestation")]
    assert uploads == [*kept, "upload reports-production told.json "]
    told = [call.partition(" --rate")[0] for call in result.called("slipway loadtest")]
    assert told == ["slipway loadtest gate crud --url https://staging.team.test"]


def test_what_does_not_bear_its_load_does_not_reach_production(run):
    result = run("release", "push", fails={"loadtest gate": 1})
    assert result.code != 0
    assert result.jobs["release/load"] == "failure"
    assert len(result.called("slipway rollout start")) == 2
    assert "upload reports-load told.json " in result.calls
    assert not result.called("upload load-baseline")


def test_what_is_rolled_out_was_signed_by_the_build_and_is_verified_before(run):
    result = run("release", "push")
    assert result.called("slipway audit sign")[0].startswith(f"slipway audit sign {IMAGE} --output")
    assert result.called("verifies") == ["verifies c2lnbmVk with public"] * len(ENVIRONMENTS)
    verified = f"slipway audit verify {IMAGE} --repository https://github.com/team/ours"
    assert result.called("slipway audit verify") == [verified] * len(ENVIRONMENTS)


@pytest.mark.parametrize("step", ["audit sign", "audit verify"])
def test_what_cannot_be_signed_or_verified_reaches_no_cluster(run, step):
    result = run("release", "push", fails={step: 1})
    assert result.code != 0
    assert not result.called("slipway rollout")


def test_the_first_release_has_no_run_to_compare_with(run, repository):
    repository._program(repository.programs / "gh", "#!/bin/sh\nexit 1\n")
    assert run("release", "push").code == 0


ENVIRONMENTS = ("dev", "staging", "production")


def test_the_kubeconfig_is_a_private_file(run):
    result = run("release", "push")
    # Each job has that of its own environment, told apart by length here.
    assert set(result.called("kubeconfig")) == {f"kubeconfig 600 {len(SECRET) + 1 + len(it)}" for it in ENVIRONMENTS}


@pytest.mark.parametrize("code", [1, 3, 4], ids=["rolled back", "paused", "unreachable"])
def test_a_bad_version_ends_red_with_its_report_and_goes_no_further(run, code):
    result = run("release", "push", fails={"rollout start --environment staging": code})
    assert result.code != 0
    assert len(result.called("slipway rollout start")) == 2
    assert result.called("upload reports") == ["upload reports-dev told.json ", "upload reports-staging told.json "]
    assert not [call for call in result.calls if "production" in call]
    ends = {"release/build": "success", "dev/deploy/deploy": "success", "staging/deploy/deploy": "failure"}
    assert result.jobs == ends


def test_production_is_judged_before_anything_is_asked_of_it(run):
    result = run("release", "push")
    assert result.called("slipway preflight") == ["slipway preflight --environment production"]
    at = [index for index, call in enumerate(result.calls) if "--environment production" in call]
    assert [result.calls[index].split(" --")[0] for index in at] == ["slipway preflight", "slipway rollout start"]


@pytest.mark.parametrize("code", [1, 3], ids=["unfit", "cannot be told"])
def test_an_environment_that_is_not_fit_gets_no_version(run, code):
    result = run("release", "push", fails={"preflight --environment production": code})
    assert result.code != 0
    assert result.jobs["production/deploy/deploy"] == "failure"
    assert len(result.called("slipway rollout start")) == 2
    assert "upload reports-production told.json " in result.calls


def test_another_digest_than_the_proven_one_is_not_rolled_out(run):
    result = run("release", "push", fails={"rollout last-good --environment dev": 1})
    assert result.code != 0
    assert len(result.called("slipway rollout start")) == 1


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


def test_an_older_version_comes_back_as_a_rollout(run):
    inputs = {"environment": "staging", "reason": "r", "image": IMAGE}
    result = run("rollback", "workflow_dispatch", inputs=inputs)
    assert result.code == 0, result.log[-2000:]
    assert result.called("slipway") == [
        f"slipway image check {IMAGE}",
        f"slipway rollout start --environment staging --image {IMAGE} --attach --wait",
    ]


@pytest.mark.parametrize(("drifted", "told"), [(0, 0), (1, 1)])
def test_drift_is_red_and_told_in_one_issue(run, drifted, told):
    result = run("drift", "workflow_dispatch", fails={"preview": drifted})
    assert (result.code != 0) == bool(drifted)
    assert result.called("slipway preview") == [
        "slipway preview --refresh --expect-no-changes --summary build/preview.md"
    ]
    assert len(result.called("gh issue comment 7 --edit-last --create-if-none")) == told
    assert result.called("upload") == ["upload reports-drift told.json "]


@pytest.mark.parametrize(("owner", "previews"), [("team/ours", 1), ("stranger/ours", 0)])
def test_only_our_own_branches_are_previewed(run, owner, previews):
    repository = {"full_name": "team/ours"}
    payload = {"pull_request": {"number": 12, "head": {"repo": {"full_name": owner}}}, "repository": repository}
    result = run("preview", "pull_request", payload=payload)
    assert result.code == 0, result.log[-2000:]
    assert len(result.called("slipway preview")) == previews
    assert len(result.called("gh pr comment 12")) == previews
    assert result.jobs == ({"preview/preview": "success"} if previews else {})


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
    assert len(result.called("slipway drill run")) == len(catalogue().listed())
    assert len(result.called("upload reports-drill-")) == len(catalogue().listed())


def test_the_workflows_that_init_writes_release_a_service_that_is_not_ours(tmp_path, act):
    sources = {name: (ROOT / ".github" / name).read_text() for name in project.SOURCES}
    plan = project.Plan("notes", "ours", "team/slipway", "c" * 40, 8000, "/live", "/ready")
    result = Repository(tmp_path, act, project.files(plan, sources)).run("release", "push")
    assert result.code == 0, result.log[-2000:]
    assert SECRET not in result.log
    assert "make --directory=.slipway venv" in result.calls
    assert result.called("slipway image publish") != []
    started = result.called("slipway rollout start")
    assert [it.partition(" --commit")[0] for it in started] == [
        f"slipway rollout start --environment {it} --image {IMAGE}" for it in ENVIRONMENTS
    ]
    assert set(result.called("service")) == {"service notes"}, "every call is told which service is meant"
