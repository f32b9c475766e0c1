"""Which stacks a change touches; that imports are seen is judged by what Python itself loads, not by the same graph."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.naming import Project
from slipway import touched

ROOT = Path(__file__).parents[2]
THERE = [(Project.CLUSTER, "c"), (Project.PLATFORM, "c"), (Project.SERVICE, "c-dev"), (Project.SERVICE, "c-production")]
EVERYTHING = set(Project)
LOADED = """
import json, sys
exec(sys.argv[1])
print(json.dumps([it.__file__ for it in list(sys.modules.values()) if getattr(it, "__file__", None)]))
"""


@functools.cache
def reach():
    return touched.reach(ROOT)


@functools.cache
def loaded(project):
    """The files of ours that Python has loaded after a program's imports."""
    program = ROOT / "infra" / "projects" / project.removeprefix("slipway-") / "__main__.py"
    imports = [it for it in ast.parse(program.read_text()).body if isinstance(it, ast.Import | ast.ImportFrom)]
    code = ast.unparse(ast.Module(imports, []))
    done = subprocess.run(
        [sys.executable, "-c", LOADED, code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [Path(it) for it in json.loads(done)]
    ours = [it.relative_to(ROOT) for it in paths if it.is_relative_to(ROOT)]
    return sorted(str(it) for it in ours if it.parts[0] in touched.PACKAGES)


def owners(path):
    return {project for project, _ in touched.stacks([path], reach(), THERE)}


@given(st.data())
def test_a_file_that_a_program_imports_always_touches_its_stacks(data):
    project = data.draw(st.sampled_from(list(Project)))
    path = data.draw(st.sampled_from(loaded(project)))
    others = data.draw(st.lists(st.sampled_from(["docs/a.md", "README.md", "helm/x", path]), max_size=5))
    found = touched.stacks(data.draw(st.permutations([path, *others])), reach(), THERE)
    assert [it for it in THERE if it[0] == project and it not in found] == []


@pytest.mark.parametrize("project", list(Project))
def test_programs_import_what_they_are_said_to(project):
    assert set(loaded(project)) <= reach()[project]
    assert len(loaded(project)) > 20, "else Python has not loaded what the other tests rely on"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("infra/clusters/kind.py", {Project.CLUSTER}),
        ("infra/components/redis.py", {Project.PLATFORM}),
        ("slipway/rollout/controller.py", {Project.PLATFORM}),
        ("app/serve.py", {Project.SERVICE}),
        ("helm/service/values.yaml", {Project.SERVICE}),
        ("Dockerfile", {Project.PLATFORM, Project.SERVICE}),
        ("infra/naming.py", EVERYTHING),
        ("slipway/toolchain/builder.py", EVERYTHING),
        ("infra/projects/service/Pulumi.yaml", {Project.SERVICE}),
        ("infra/projects/new/__main__.py", EVERYTHING),
        ("slipway/cli/doctor.py", set()),
    ],
)
def test_a_file_touches_whatever_uses_it(path, wanted):
    assert owners(path) == wanted


@pytest.mark.parametrize(
    "path",
    ["infra/gone.py", "dashboards/rules/new.yaml", "slipway/toolchain/go.sum", "slipway/rollout/crd.yaml", "uv.lock"],
)
def test_what_is_not_told_apart_touches_everything(path):
    assert owners(path) == EVERYTHING


@pytest.mark.parametrize(
    "path", ["docs/a.md", "README.md", "infra/README.md", "tests/conftest.py", ".github/a.yml", ""]
)
def test_documentation_and_tests_touch_nothing(path):
    assert owners(path) == set()


def test_a_stack_file_touches_its_stack_alone():
    path = "infra/projects/service/Pulumi.c-production.yaml"
    assert touched.stacks([path], reach(), THERE) == [(Project.SERVICE, "c-production")]
    assert touched.stacks([path, "helm/service/values.yaml"], reach(), THERE) == THERE[2:]


def test_a_list_that_may_have_been_cut_touches_everything():
    paths = [f"docs/{it}.md" for it in range(touched.LISTED)]
    assert touched.stacks(paths, reach(), THERE) == THERE
    assert touched.stacks(paths[1:], reach(), THERE) == []
