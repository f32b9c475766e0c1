"""The files of a service's repository: complete, from the workflows as they are, and none over another."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from infra.naming import Environment, parse_service_stack
from slipway import cli
from slipway.scaffold import project
from slipway.scaffold.project import Plan, ScaffoldError, files

ROOT = Path(__file__).parents[3]
SOURCES = {name: (ROOT / ".github" / name).read_text() for name in project.SOURCES}
COMMIT = "c" * 40
PLAN = Plan("notes", "ours", "team/slipway", COMMIT, 8000, "/live", "/ready")


def init(folder, *more, name="notes"):
    return CliRunner().invoke(
        cli.cli, ["init", name, f"--folder={folder}", "--cluster=ours", f"--tool=team/slipway@{COMMIT}", *more]
    )


def test_these_files_are_made_and_no_others():
    assert set(files(PLAN, SOURCES)) == {
        ".github/workflows/release.yml",
        ".github/workflows/deploy.yml",
        ".github/workflows/rollback.yml",
        ".github/actions/setup/action.yml",
        ".github/actions.lock",
        ".github/dependabot.yml",
        "deploy/Pulumi.yaml",
        "deploy/__main__.py",
        "deploy/values.yaml",
        "deploy/Pulumi.ours-dev.yaml",
        "deploy/Pulumi.ours-staging.yaml",
        "deploy/Pulumi.ours-production.yaml",
    }


def test_there_is_a_stack_for_each_environment_and_its_name_can_be_read():
    stacks = {re.fullmatch(r"deploy/Pulumi\.(.+)\.yaml", path) for path in files(PLAN, SOURCES)}
    assert {parse_service_stack(it[1])[1] for it in stacks if it} == set(Environment)


def test_nothing_of_a_workflow_is_lost_but_what_is_replaced():
    for name in project.WORKFLOWS:
        made = files(PLAN, SOURCES)[f".github/{name}"]
        back = made.replace(".slipway/.venv", ".venv").replace('env:\n  SLIPWAY_SERVICE: "notes"\n', "", 1)
        back = back.replace('image publish "$SLIPWAY_SERVICE" . ', "image push service ").replace(
            "|| 'page'", "|| 'crud'"
        )
        back = back.replace("SMOKE_PATH || '/'", "SMOKE_PATH || '/version'")
        assert back == SOURCES[name]


def test_every_call_goes_to_the_tool_where_the_action_puts_it():
    made = files(PLAN, SOURCES)
    for name in project.WORKFLOWS:
        runs = re.findall(r"\S*bin/slipway", made[f".github/{name}"])
        assert runs
        assert set(runs) == {".slipway/.venv/bin/slipway"}
    action = yaml.safe_load(made[".github/actions/setup/action.yml"])
    first = action["runs"]["steps"][0]
    assert first["with"] == {
        "repository": "team/slipway", "ref": COMMIT, "path": ".slipway", "persist-credentials": False
    }  # fmt: skip
    assert any(step.get("run") == "make --directory=.slipway venv" for step in action["runs"]["steps"])


def test_the_pin_of_the_checkout_is_that_of_the_lock():
    commit, _, version = project._PIN.partition(" # ")
    assert f"actions/checkout {version} {commit}" in SOURCES[project.LOCK]


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("workflows/release.yml", "slipway image push service --registry"),
        ("workflows/deploy.yml", "permissions: {}\n"),
        ("actions/setup/action.yml", "make venv"),
    ],
)
def test_a_workflow_in_which_a_place_is_missing_stops_it(name, old):
    assert old in SOURCES[name]
    with pytest.raises(ScaffoldError, match=r"has been changed; take an unchanged one"):
        files(PLAN, {**SOURCES, name: SOURCES[name].replace(old, "")})


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


@given(name=NAMES, port=st.integers(1024, 65535), live=st.from_regex(r"/[a-z0-9._~/-]{0,20}", fullmatch=True))
def test_whatever_the_name_every_file_can_be_read(name, port, live):
    made = files(replace(PLAN, name=name, port=port, live=live), SOURCES)
    for path, text in made.items():
        if path.endswith((".yml", ".yaml")):
            read = yaml.safe_load(text)
            assert isinstance(read, dict)
            if path == "deploy/values.yaml":
                assert (read["ports"]["http"], read["probes"]["liveness"]["path"]) == (port, live)
            if path == "deploy/Pulumi.yaml":
                assert read["name"] == name
        assert text.endswith("\n")


def test_the_command_writes_them_and_says_what_is_next(tmp_path):
    done = init(tmp_path, "--port=8000", "--live=/live", "--ready=/ready")
    assert done.exit_code == 0, done.output
    for path, text in files(PLAN, SOURCES).items():
        assert (tmp_path / path).read_text() == text
    assert "pulumi stack select --create ours-staging" in done.output
    assert "docs/how-to/first-canary.md" in done.output


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "values.yaml").write_text("mine")
    done = init(tmp_path)
    assert done.exit_code == 1
    assert "deploy/values.yaml already; nothing was written" in done.output
    assert (tmp_path / "deploy" / "values.yaml").read_text() == "mine"
    assert [it.name for it in tmp_path.rglob("*") if it.is_file()] == ["values.yaml"]


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("Notes", (), "the service's name 'Notes' cannot be used"),
        ("n" * 41, (), "1 to 40"),
        ("slipway-service", (), "is that of a project of Slipway"),
        ("notes", ("--live=livez",), "allowed is a path"),
        ("notes", ("--ready=/a b",), "allowed is a path"),
        ("notes", ("--tool=team/slipway@main",), "40 hexadecimal digits"),
        ("notes", ("--port=80",), "--port"),
        ("notes", ("--cluster=Ours",), "cannot be used as a name"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(tmp_path, name, more, told):
    done = init(tmp_path, *more, name=name)
    assert done.exit_code == 2
    assert told in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        ("https://github.com/team/slipway.git", "team/slipway"),
        ("git@github.com:team/slipway", "team/slipway"),
        ("https://example.org/team/slipway", None),
        ("", None),
    ],
)
def test_the_tool_is_this_checkout_if_it_is_on_github(tmp_path, monkeypatch, origin, found):
    checkout = tmp_path / "checkout"
    for words in (
        ["init", "-q", str(checkout)],
        *([["-C", str(checkout), "remote", "add", "origin", origin]] if origin else []),
        [
            "-C",
            str(checkout),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.test",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "a",
        ],
    ):
        subprocess.run(["git", *words], check=True)
    (checkout / ".github").symlink_to(ROOT / ".github")
    monkeypatch.setattr("slipway.cli.init.REPOSITORY", checkout)
    done = CliRunner().invoke(cli.cli, ["init", "notes", f"--folder={tmp_path / 'new'}"])
    if found is None:
        assert done.exit_code == 2
        assert "tell by --tool" in done.output
    else:
        assert done.exit_code == 0, done.output
        action = (tmp_path / "new/.github/actions/setup/action.yml").read_text()
        assert f"repository: {found}\n" in action
