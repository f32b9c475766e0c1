"""The three programs, as Pulumi runs them: against mocks, once as a preview and once for real."""

import ast
import runpy
from pathlib import Path

import pytest
import yaml
from infra_stand_ins import CLUSTER_OUTPUTS, STACKS

import infra
from infra import handover, releases
from infra.handover import HandoverError
from infra.naming import Project
from infra.settings import SettingsError

PROJECTS = Path(infra.__file__).parent / "projects"
PREVIEW = pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])


def folder(project):
    return PROJECTS / project.value.removeprefix("slipway-")


@pytest.fixture
def program(monkeypatch, release):
    """Run a project's program as the language host does."""
    monkeypatch.setattr(releases, "read", release)

    def make(project):
        return lambda: runpy.run_path(str(folder(project) / "__main__.py"), run_name="__main__")

    return make


@PREVIEW
def test_the_cluster_project_makes_a_cluster(deploy, program, preview):
    run = deploy(program(Project.CLUSTER), stack="test", preview=preview)
    assert run.counts() == {"pulumi-python:dynamic/slipway:EmbeddedCluster": 1}
    made = run.one("pulumi-python:dynamic/slipway:EmbeddedCluster").inputs
    assert made["spec"]["name"] == "test"
    assert preview or set(run.exported) == {"kubeconfig", "context", "identifier", "capabilities"}
    assert not [text for text in run.plain_texts() if "plain-" in text]


@PREVIEW
def test_the_platform_project_runs_on_the_cluster_of_its_name(deploy, program, preview):
    run = deploy(program(Project.PLATFORM), stack="test", preview=preview, stacks=STACKS)
    provider = run.one("pulumi:providers:kubernetes")
    assert provider.inputs["clusterIdentifier"] == "embedded/test"
    assert provider.inputs["kubeconfig"] == "plain-kubeconfig"
    assert not [text for text in run.plain_texts() if "plain-" in text]
    assert {"profile", "domain", "timeouts"} <= set(run.exported)
    assert len(run.of("kubernetes:postgresql.cnpg.io/v1:Cluster")) == 1


@PREVIEW
def test_the_service_project_runs_in_the_environment_of_its_name(deploy, program, preview):
    run = deploy(program(Project.SERVICE), stack="test-staging", preview=preview, stacks=STACKS)
    assert run.one("kubernetes:core/v1:Namespace").inputs["metadata"]["name"] == "staging"
    assert run.exported["url"] == "https://payload.staging.slipway.test"
    assert not [text for text in run.plain_texts() if "plain-" in text]
    assert len(run.of("pulumi-python:dynamic/slipway:LocalImage")) == 1


def test_an_image_that_is_given_is_not_built(deploy, program):
    image = "registry.test/payload@sha256:" + "0" * 64
    config = {"slipway-service:image": image}
    run = deploy(program(Project.SERVICE), stack="test-dev", stacks=STACKS, config=config)
    assert not run.of("pulumi-python:dynamic/slipway:LocalImage")
    assert run.exported["image"] == image
    assert run.one("kubernetes:slipway.dev/v1alpha1:Rollout").inputs["spec"]["image"] == image


@pytest.mark.parametrize("project", [Project.PLATFORM, Project.SERVICE])
def test_every_kubernetes_resource_has_the_explicit_provider(deploy, program, project):
    stack = "test" if project is Project.PLATFORM else "test-dev"
    run = deploy(program(project), stack=stack, stacks=STACKS)
    provider = run.one("pulumi:providers:kubernetes")
    made = [it for it in run.resources if it.type.startswith("kubernetes:")]
    assert len(made) > 5
    assert [it.name for it in made if not it.provider.startswith(f"{provider.urn}::")] == []


@pytest.mark.parametrize(
    "wrong",
    [
        (
            Project.CLUSTER,
            "test",
            {"slipway-cluster:nodes": "3"},
            SettingsError,
            "slipway-cluster:nodes is not a setting",
        ),
        (
            Project.PLATFORM,
            "test",
            {"slipway-platform:profile": "big"},
            SettingsError,
            "slipway-platform:profile is 'big'",
        ),
        (Project.SERVICE, "test-dev", {"slipway-service:image": "a:1"}, SettingsError, "must be pinned by digest"),
        (Project.SERVICE, "test", {}, ValueError, "must be named <cluster>-<environment>"),
        (Project.CLUSTER, "a-cluster-with-a-long-name", {}, ValueError, "cannot be used as a name"),
        (Project.PLATFORM, "other", {}, HandoverError, "Run `pulumi up --stack other` in infra/projects/cluster first"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_resource(deploy, program, wrong):
    project, stack, config, error, message = wrong
    made = []

    def body():
        try:
            program(project)()
        except error as raised:
            made.append(str(raised))

    run = deploy(body, stack=stack, config=config, stacks=STACKS)
    assert message in made[0]
    assert run.resources == ()


@pytest.mark.parametrize("project", Project)
def test_a_project_is_a_page_that_uses_no_default_provider(project):
    settings = yaml.safe_load((folder(project) / "Pulumi.yaml").read_text())
    assert settings["name"] == project.value
    assert settings["runtime"] == "python"
    clouds = ["kubernetes", "aws"] if project is Project.CLUSTER else ["kubernetes"]
    assert settings["config"]["pulumi:disable-default-providers"] == {"value": clouds}
    text = (folder(project) / "__main__.py").read_text()
    assert len(text.splitlines()) < 40
    names = {it.name for it in folder(project).iterdir()}
    assert not names & {"platform.py", "logging.py", "secrets.py"}


def test_only_the_settings_read_configuration():
    readers = set()
    for path in PROJECTS.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "Config" and getattr(node.value, "id", "") == "pulumi":
                readers.add(path.relative_to(PROJECTS.parent).as_posix())
    assert readers == {"settings/reading.py"}


def test_a_service_cannot_be_put_on_a_platform_that_is_not_there(deploy):
    with pytest.raises(HandoverError, match=r"Run `pulumi up --stack test` in infra/projects/platform first"):
        deploy(
            lambda: handover.read(Project.PLATFORM, "test"),
            stacks={"organization/slipway-cluster/test": CLUSTER_OUTPUTS},
        )
