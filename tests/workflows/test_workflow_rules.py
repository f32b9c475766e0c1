"""The workflows as data: each rule on every workflow, and each rule on a made-up workflow that breaks it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.grafana import emit
from dashboards.grafana.boards import ALL
from dashboards.kibana import boards as kibana
from infra.naming import PROMETHEUS, PROMETHEUS_PORT, Namespace
from infra.settings import ExistingSettings, reference
from loadtests.plan import SCENARIOS
from loadtests.workloads import WORKLOADS
from slipway import cli
from slipway.cli.image import OURS
from slipway.proof.drills import catalogue
from slipway.scaffold import project
from slipway.toolchain import Toolchain

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
SETUP = ROOT / ".github" / "actions" / "setup" / "action.yml"
PIN = re.compile(r"uses: (?P<name>[\w.-]+/[\w./-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)$")
PLAN = project.Plan("notes", "ours", "team/slipway", "c" * 40, 8000, "/live", "/ready")
#: What `slipway init` makes of them for a service that is not ours: path -> text.
SCAFFOLD = project.files(PLAN, {name: (ROOT / ".github" / name).read_text() for name in project.SOURCES})
TEXTS = {path.stem: path.read_text() for path in FILES} | {
    f"init-{Path(path).stem}": text for path, text in SCAFFOLD.items() if "/workflows/" in path
}
CLUSTER_SECRETS = re.compile(r"kubeconfig", re.IGNORECASE)
LONGEST = 2  # lines of a `run`


def read(text: str) -> dict[str, Any]:
    data = yaml.safe_load(text)
    data["on"] = data.pop(True, {})  # YAML 1.1 reads the key `on` as a truth value
    return data


def jobs(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from data["jobs"].items()


def steps(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs(data):
        for step in job.get("steps", ()):
            yield name, step


def lock() -> dict[tuple[str, str], str]:
    lines = (ROOT / ".github" / "actions.lock").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {(name, version): commit for name, version, commit in rows}


def permissions_are_given_job_by_job(text: str, data: dict[str, Any]) -> Iterator[str]:
    if data.get("permissions") != {}:
        yield "no `permissions: {}` at the top"
    for name, job in jobs(data):
        if not isinstance(job.get("permissions"), dict):
            yield f"{name} does not say its permissions"
    for line in text.splitlines():
        if re.match(r"\s+[\w-]+: write\b", line) and "#" not in line:
            yield f"a right to write without its reason: {line.strip()}"


def actions_are_pinned_as_the_lock_says(text: str, data: dict[str, Any]) -> Iterator[str]:
    del data
    known = lock()
    for line in text.splitlines():
        if "uses:" not in line or "uses: ./" in line:
            continue
        pin = PIN.search(line.rstrip())
        if pin is None:
            yield f"not pinned: {line.strip()}"
        elif known.get((pin["name"], pin["version"])) != pin["commit"]:
            yield f"not in the lock: {line.strip()}"


def no_expression_reaches_a_shell(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, step in steps(data):
        if "${{" in step.get("run", ""):
            yield f"{name}: an expression in `run`: {step['run']}"


def shell_is_short(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, step in steps(data):
        if len(step.get("run", "").strip().splitlines()) > LONGEST:
            yield f"{name}: more than {LONGEST} lines of shell"


def checkout_keeps_no_credentials(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, step in steps(data):
        if step.get("uses", "").startswith("actions/checkout@") and step.get("with") != {"persist-credentials": False}:
            yield f"{name}: checkout leaves its token behind"


def concurrency(data: dict[str, Any]) -> Iterator[Any]:
    yield data.get("concurrency")
    yield from (job.get("concurrency") for _, job in jobs(data))


def touches_a_cluster(text: str) -> bool:
    return bool(CLUSTER_SECRETS.search(text)) or "make up" in text or "PULUMI" in text


def deployments_are_never_cancelled(text: str, data: dict[str, Any]) -> Iterator[str]:
    given = [it for it in concurrency(data) if it]
    if not given:
        yield "no concurrency group"
    # A preview of a pull request only reads: its next commit may replace it.
    reads_only = "pull_request" in data["on"]
    for it in given:
        if touches_a_cluster(text) and not reads_only and it.get("cancel-in-progress") is not False:
            yield f"concurrency {it['group']} may cancel a deployment"


def jobs_end(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, job in jobs(data):
        if "uses" not in job and "timeout-minutes" not in job:
            yield f"{name} has no timeout-minutes"


def whatever_measures_keeps_its_reports(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, job in jobs(data):
        runs = " ".join(step.get("run", "") for step in job.get("steps", ()))
        if not re.search(
            r"rollout (start|rollback)|loadtest (run|gate)|drill run|slipway preflight|make (unit|audit)"
            r"|slipway preview (?!--plan)",  # which says only what is to be measured
            runs,
        ):
            continue
        uploads = [it for it in job["steps"] if it.get("uses", "").startswith("actions/upload-artifact@")]
        if not any(it.get("if") == "always()" and it["with"]["path"] == "build/reports" for it in uploads):
            yield f"{name} loses its reports when it fails"


def a_rollout_is_asked_for_by_a_checked_digest(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, job in jobs(data):
        runs = [step.get("run", "") for step in job.get("steps", ())]
        for index, run in enumerate(runs):
            if "rollout start" not in run:
                continue
            if not any("slipway image check" in before for before in runs[:index]):
                yield f"{name} starts a rollout of an image whose name nobody checked"
            if not any("slipway audit verify" in before for before in runs[:index]):
                yield f"{name} starts a rollout of an image whose signature nobody checked"
            if "--wait" not in run or "--attach" not in run:
                yield f"{name} does not wait, or does not attach again"


def a_job_that_deploys_builds_nothing(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, job in jobs(data):
        runs = " ".join(step.get("run", "") for step in job.get("steps", ()))
        if "slipway rollout" in runs and "image push" in runs:
            yield f"{name} builds what it deploys"


def a_cluster_is_reached_from_an_environment(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    for name, job in jobs(data):
        if (
            "steps" in job
            and re.search(r"secrets\.\w*kubeconfig", str(job), re.IGNORECASE)
            and not job.get("environment")
        ):
            yield f"{name} holds credentials of a cluster outside an environment"


def commands_exist(text: str, data: dict[str, Any]) -> Iterator[str]:
    del text
    made = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name, step in steps(data):
        run = step.get("run", "")
        for words in re.findall(r"bin/slipway ((?:[a-z-]+ ?)+)", run):
            if not _known(words.split()):
                yield f"{name}: there is no `slipway {words}`"
        for target in re.findall(r"\bmake (?:--\S+ )*([a-z][a-z0-9-]*)", run):
            if target not in made:
                yield f"{name}: there is no `make {target}`"


def _known(words: list[str]) -> bool:
    group: Any = cli.cli
    for word in words:
        if not hasattr(group, "get_command"):
            return True  # the rest are arguments
        group = group.get_command(None, word)
        if group is None:
            return False
    return not hasattr(group, "get_command")


Rule = Callable[[str, dict[str, Any]], Iterator[str]]
RULES: tuple[Rule, ...] = (
    permissions_are_given_job_by_job,
    actions_are_pinned_as_the_lock_says,
    no_expression_reaches_a_shell,
    shell_is_short,
    checkout_keeps_no_credentials,
    deployments_are_never_cancelled,
    jobs_end,
    whatever_measures_keeps_its_reports,
    a_rollout_is_asked_for_by_a_checked_digest,
    a_job_that_deploys_builds_nothing,
    a_cluster_is_reached_from_an_environment,
    commands_exist,
)

GOOD = (FOLDER / "deploy.yml").read_text()
BAD: tuple[tuple[Rule, str, str], ...] = (
    (permissions_are_given_job_by_job, "permissions: {}", "permissions: write-all"),
    (permissions_are_given_job_by_job, "contents: read # checkout", "contents: write"),
    (actions_are_pinned_as_the_lock_says, "@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2", "@v4"),
    (actions_are_pinned_as_the_lock_says, "@11bd71901bbe5b1630ceea73d27597364c9af683", "@" + "1" * 40),
    (actions_are_pinned_as_the_lock_says, "# v4.2.2", "# v4.2.1"),
    (no_expression_reaches_a_shell, 'check "$IMAGE"', "check ${{ inputs.image }}"),
    (shell_is_short, 'run: .venv/bin/slipway image check "$IMAGE"', 'run: "a\\nb\\nc"'),
    (checkout_keeps_no_credentials, "persist-credentials: false", "persist-credentials: true"),
    (deployments_are_never_cancelled, "cancel-in-progress: false", "cancel-in-progress: true"),
    (deployments_are_never_cancelled, "      cancel-in-progress: false\n", ""),
    (jobs_end, "    timeout-minutes: 350\n", ""),
    (whatever_measures_keeps_its_reports, "if: always()", "if: success()"),
    (a_rollout_is_asked_for_by_a_checked_digest, "image check", "image build"),
    (a_rollout_is_asked_for_by_a_checked_digest, "audit verify", "audit sign"),
    (a_rollout_is_asked_for_by_a_checked_digest, " --wait", ""),
    (a_rollout_is_asked_for_by_a_checked_digest, " --attach", ""),
    (a_job_that_deploys_builds_nothing, 'image check "$IMAGE"', "image push service"),
    (a_cluster_is_reached_from_an_environment, "    environment: ${{ inputs.environment }}\n", ""),
    (commands_exist, "slipway image check", "slipway image chekc"),
    (commands_exist, ".venv/bin/slipway image check", "make no-such-target #"),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda it: it.__name__)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_workflow_keeps_every_rule(text, rule):
    assert list(rule(text, read(text))) == []


@pytest.mark.parametrize(("rule", "good", "bad"), BAD, ids=lambda it: getattr(it, "__name__", None))
def test_a_workflow_that_breaks_a_rule_is_found(rule, good, bad):
    assert good in GOOD
    text = GOOD.replace(good, bad)
    assert list(rule(text, read(text))) != []


def test_every_rule_has_a_workflow_that_breaks_it():
    assert {rule for rule, _, _ in BAD} == set(RULES)


def test_these_are_the_workflows():
    names = {"ci", "deploy", "drift", "drill", "kind", "loadtest", "preview", "release", "restore", "rollback"}
    assert {path.stem for path in FILES} == names
    assert {read(path.read_text())["name"] for path in FILES} == names


def test_the_set_up_action_is_pinned_and_shows_no_expression_to_a_shell():
    text = SETUP.read_text()
    assert list(actions_are_pinned_as_the_lock_says(text, {})) == []
    assert all("${{" not in step.get("run", "") for step in yaml.safe_load(text)["runs"]["steps"])


def test_the_lock_names_nothing_that_is_not_used():
    text = "".join(path.read_text() for path in (*FILES, SETUP))
    for (name, version), commit in lock().items():
        assert f"{name}@{commit} # {version}" in text


def test_the_image_is_built_in_one_job_and_everything_else_takes_its_name():
    data = read((FOLDER / "release.yml").read_text())
    built = [name for name, job in jobs(data) if "image push" in str(job)]
    assert built == ["build"]
    for name in ("dev", "staging", "production"):
        job = data["jobs"][name]
        assert job["uses"] == "./.github/workflows/deploy.yml"
        assert job["with"]["image"] == "${{ needs.build.outputs.image }}"
    assert data["jobs"]["staging"]["with"]["proven-in"] == "dev"
    assert data["jobs"]["production"]["with"]["proven-in"] == "staging"
    assert data["jobs"]["production"]["needs"] == ["build", "staging", "load"]
    assert data["jobs"]["production"]["with"]["preflight"] is True


def test_a_preview_is_never_made_for_somebody_elses_branch():
    data = read((FOLDER / "preview.yml").read_text())
    assert data["on"] == {"pull_request": None}, "and no path filter beside what the command decides"
    plan, *others = data["jobs"].values()
    assert plan["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    assert all("plan" in job["needs"] for job in others), "without it they are skipped"


def test_every_drill_of_the_catalogue_is_run():
    data = read((FOLDER / "drill.yml").read_text())
    assert data["jobs"]["drill"]["strategy"]["matrix"]["drill"] == [it.name for it in catalogue().listed()]


def test_what_the_load_test_offers_can_be_run():
    inputs = read((FOLDER / "loadtest.yml").read_text())["on"]["workflow_dispatch"]["inputs"]
    assert set(inputs["scenario"]["options"]) < set(SCENARIOS)
    assert set(inputs["workload"]["options"]) < set(WORKLOADS)


def test_kind_pushes_what_only_we_build_and_draws_every_dashboard():
    data = read((FOLDER / "kind.yml").read_text())
    runs = [step.get("run", "") for _, step in steps(data)]
    assert {run.split("image push ")[1].split()[0] for run in runs if "image push" in run} == set(OURS)
    listed = next(step["env"]["BOARDS"] for _, step in steps(data) if "BOARDS" in step.get("env", {}))
    assert listed == "{" + ",".join(board.uid for board in ALL) + "}"
    up = next(step for _, step in steps(data) if "slipway up" in step.get("run", ""))
    assert ExistingSettings.model_validate_json(up["env"]["CLUSTER"]).address_range
    known = reference.render()
    assert all(f"`{key}`" in known for key in re.findall(r"--set (\S+)", up["run"]))
    forwarded = f"--namespace={Namespace.MONITORING.value} port-forward service/{PROMETHEUS} {PROMETHEUS_PORT}"
    assert any(forwarded in run for run in runs)


def test_kind_draws_every_dashboard_of_kibana_in_one_that_knows_their_form():
    text = (FOLDER / "kind.yml").read_text()
    for board in kibana.ALL:
        assert f'kibana-{board.uid}.png "$PAGE/{board.uid}"' in text
    for body in ("index-template-slipway-logs", "_index_template/slipway-logs"):
        assert body in text
    services = yaml.safe_load((ROOT / ".github/kind/compose.yaml").read_text())["services"]
    versions = {services[it]["image"].rpartition(":")[2] for it in ("elasticsearch", "kibana")}
    assert len(versions) == 1
    assert tuple(int(it) for it in versions.pop().split(".")) >= (9, 5)


def test_the_pictures_come_from_the_source_that_the_dashboards_ask():
    source = yaml.safe_load((ROOT / ".github/kind/provisioning/datasources/prometheus.yaml").read_text())
    asked = {
        uid
        for board in ALL
        for uid in re.findall(r'"type": "prometheus", "uid": "(\w+)"', json.dumps(emit.emit(board)))
    }
    assert asked == {source["datasources"][0]["uid"]}


def actionlint(*paths: Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = Toolchain().ensure(["actionlint"])["actionlint"]
    # What lies on this machine must not decide: both helpers are optional.
    command = [program, "-shellcheck=", "-pyflakes=", *paths]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing():
    found = actionlint(*FILES)
    assert found.returncode == 0, found.stdout


@pytest.fixture
def scaffold(tmp_path):
    """A repository as `slipway init` leaves it."""
    for path, text in SCAFFOLD.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_actionlint_finds_nothing_in_what_init_writes(scaffold):
    found = actionlint(*sorted((scaffold / ".github/workflows").glob("*.yml")), folder=scaffold)
    assert found.returncode == 0, found.stdout


def test_zizmor_finds_nothing_in_what_init_writes(scaffold):
    found = zizmor(scaffold / ".github")
    assert found.returncode == 0, found.stdout


def test_actionlint_would_find_something(tmp_path):
    bad = tmp_path / "bad.yml"
    bad.write_text(GOOD.replace("inputs.image }}", "inputs.imgae }}"))
    assert "imgae" in actionlint(bad).stdout


def zizmor(path: Path) -> subprocess.CompletedProcess[str]:
    command = [
        Path(sys.executable).parent / "zizmor",
        "--offline",
        "--persona=regular",
        "--strict-collection",
        "--no-progress",
    ]
    config = f"--config={ROOT / '.github' / 'zizmor.yml'}"
    return subprocess.run([*command, config, path], capture_output=True, text=True, check=False)


def test_zizmor_finds_nothing():
    found = zizmor(ROOT / ".github")
    assert found.returncode == 0, found.stdout


def test_zizmor_would_find_something(tmp_path):
    bad = tmp_path / "bad.yml"
    bad.write_text(GOOD.replace('check "$IMAGE"', "check ${{ inputs.image }}"))
    found = zizmor(bad)
    assert found.returncode > 10
    assert "template-injection" in found.stdout
