"""A service that is not ours: the program that `slipway init` writes, against mocks; its values, by the real helm."""

import json
import runpy
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from infra_stand_ins import PLATFORM, STACKS

from infra.components.any_service import (
    CHART,
    AnyServiceConfig,
    laid_over,
    rollout_spec,
    values_of,
    whole_values,
)
from infra.naming import Environment
from infra.settings import SettingsError
from slipway.rollout.resource import SPEC
from slipway.scaffold import project
from slipway.toolchain import Toolchain

ROOT = Path(__file__).parents[3]
SOURCES = {name: (ROOT / ".github" / name).read_text() for name in project.SOURCES}
FILES = project.files(project.Plan("notes", "test", "team/slipway", "c" * 40, 8000, "/live", "/ready"), SOURCES)
DIGEST = "@sha256:" + "0" * 64
IMAGE = f"registry.test:5000/notes{DIGEST}"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path / "deploy")  # as Pulumi runs it
    return tmp_path


@pytest.fixture
def run(deploy, repository, monkeypatch):
    """Run the program of a stack with the settings of its file."""
    monkeypatch.setattr("pulumi.get_project", lambda: "notes")

    def go(environment="staging", *, image=IMAGE, **more):
        stack = f"test-{environment}"
        told = yaml.safe_load((repository / f"deploy/Pulumi.{stack}.yaml").read_text())["config"]
        config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}
        program = lambda: runpy.run_path(str(repository / "deploy/__main__.py"), run_name="__main__")  # noqa: E731
        return deploy(
            program, stack=stack, config={**config, **({"notes:image": image} if image else {})}, stacks=STACKS, **more
        )

    return go


@pytest.mark.parametrize("environment", [it.value for it in Environment])
def test_the_program_of_the_scaffold_makes_these_resources(run, environment):
    made = run(environment)
    assert made.counts() == {
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
        "kubernetes:slipway.dev/v1alpha1:Rollout": 1,
        "pulumi:providers:kubernetes": 1,
    }
    rollout = made.one("kubernetes:slipway.dev/v1alpha1:Rollout")
    assert rollout.inputs["metadata"]["name"] == "notes"
    assert rollout.inputs["metadata"]["namespace"] == environment
    assert rollout.inputs["spec"]["image"] == IMAGE
    assert "spec.image" in rollout.ignore_changes
    assert rollout.inputs["spec"]["strategy"]["canary"]["approval"] is (environment == "production")
    SPEC.validate_python(rollout.inputs["spec"])
    assert made.exported["url"] == f"https://payload.{environment}.slipway.test"


def test_what_is_given_to_the_chart_is_what_it_allows(run):
    chart = run().one("kubernetes:helm.sh/v4:Chart").inputs
    assert (chart["name"], chart["namespace"]) == ("notes", "staging")
    assert not Path(chart["chart"]).is_absolute()
    assert Path(chart["chart"]).resolve() == CHART
    assert chart["values"]["rollout"]["enabled"] is False
    assert chart["values"]["ports"]["http"] == 8000
    jsonschema.validate(chart["values"], json.loads((CHART / "values.schema.json").read_text()))


def test_an_image_is_asked_for_before_the_first_resource(run):
    with pytest.raises(SettingsError, match="notes:image is missing"):
        run(image="")


def config(**values):
    return AnyServiceConfig("notes", Environment.STAGING, IMAGE, PLATFORM, values)


SECONDS = st.integers(1, 900).map(lambda it: f"{it}s")
ROLLOUTS = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(["canary", "blueGreen"]),
        "approval": st.booleans(),
        "replicas": st.integers(1, 9),
        "steps": st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True).map(
            lambda them: [{"weight": it} for it in sorted(them)]
        ),
        "metrics": st.just([]),
        "soak": SECONDS,
        "pause": SECONDS,
        "drainTimeout": SECONDS,
    },
)
OWNERS = [
    {"secret": name, "items": [{"key": key, "file": key}]}
    for name, key in (("notes-database", "owner-url"), ("notes-owner", "password"))
]
VALUES = st.fixed_dictionaries(
    {"rollout": ROLLOUTS},
    optional={
        "env": st.just({"A": "b"}),
        "secrets": st.just([{"secret": "notes-database", "items": [{"key": "url", "file": "url"}]}]),
        "migrations": st.sampled_from([{}, {"secrets": OWNERS}]).map(
            lambda own: {"enabled": True, "command": ["migrate"], **own}
        ),
        "workers": st.sampled_from([{}, {"autoscaling": {"enabled": True, "query": "messages", "maxReplicas": 6}}]).map(
            lambda scaled: {"enabled": True, "command": ["work"], "replicas": 3, **scaled}
        ),
        "preview": st.just({"check": {"image": IMAGE, "errorRatio": 0.01, "paths": ["/", "/about"]}}),
    },
)


@settings(max_examples=12)
@given(VALUES)
def test_the_rollout_is_the_one_that_the_chart_would_make(values):
    whole = whole_values(config(**values))
    told = laid_over(whole, {"rollout": {"enabled": True, "image": IMAGE}})
    helm = Toolchain().ensure(["helm"])["helm"]
    command = [helm, "template", "notes", CHART, "--namespace=staging", "--values=-",
               "--show-only=templates/rollout.yaml"]  # fmt: skip
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rollout_spec("notes", IMAGE, whole) == yaml.safe_load(done.stdout)["spec"]


def test_the_services_own_values_win(tmp_path):
    (tmp_path / "values.yaml").write_text("ingress: {host: notes.example.org}\nports: {http: 8000, metrics: 0}\n")
    read = values_of(tmp_path / "values.yaml", {"ports": {"metrics": 9100}})
    whole = whole_values(config(**read))
    assert whole["ingress"]["host"] == "notes.example.org"
    assert whole["ports"] == {"http": 8000, "metrics": 9100}
    assert whole["ingress"]["timeouts"] == {"connect": "1s", "server": "10s"}


def test_a_file_that_is_no_mapping_is_told(tmp_path):
    (tmp_path / "values.yaml").write_text("- a\n")
    with pytest.raises(ValueError, match="allowed are values of the chart"):
        values_of(tmp_path / "values.yaml", {})
