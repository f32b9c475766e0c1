"""`slipway preview`: what is told of each stack, and when a difference fails."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.naming import Project
from slipway import cli
from slipway.cli import preview
from slipway.cli.preview import Planned, markdown

SAME = {"same": 40, "read": 2}
DRIFTED = {"same": 40, "update": 3, "create": 1}


class Engine:
    def __init__(self, changes):
        self.changes = changes
        self.asked = []
        self.provided = False

    def stacks_of(self, cluster):
        yield Project.SERVICE, f"{cluster}-dev"
        yield Project.CLUSTER, cluster

    def preview(self, project, stack, *, refresh):
        assert self.provided, "the plug-in is there first"
        self.asked.append((project, stack, refresh))
        return self.changes


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run `slipway preview` on stacks that would change so; returns result and engine."""
    monkeypatch.chdir(tmp_path)

    def go(changes, *arguments, stacks=True):
        engine = Engine(changes)
        if not stacks:
            engine.stacks_of = lambda _cluster: iter(())

        class Tools:
            def __init__(self, _progress):
                self.engine = engine

            def kubernetes_plugin(self):
                engine.provided = True

        monkeypatch.setattr(preview, "Tools", Tools)
        return CliRunner().invoke(cli.cli, ["preview", "--cluster", "c", *arguments]), engine

    return go


@pytest.mark.parametrize(
    ("changes", "arguments", "code"),
    [(SAME, (), 0), (DRIFTED, (), 0), (SAME, ("--expect-no-changes",), 0), (DRIFTED, ("--expect-no-changes",), 1)],
)
def test_only_where_no_change_is_expected_a_change_fails(run, changes, arguments, code):
    result, _ = run(changes, *arguments)
    assert result.exit_code == code, result.output
    assert json.loads(Path("build/reports/preview.json").read_text())["verdict"] == ("fail" if code else "pass")


def test_stacks_come_in_the_order_in_which_they_are_made(run):
    _, engine = run(SAME, "--refresh")
    assert engine.asked == [(Project.CLUSTER, "c", True), (Project.SERVICE, "c-dev", True)]


def test_the_summary_counts_and_shows_no_value(run):
    run(DRIFTED, "--summary", "out/preview.md")
    assert "| `slipway-cluster/c` | 1 create, 3 update |" in Path("out/preview.md").read_text()


def test_a_preview_that_dies_leaves_a_summary_that_says_so(run, tmp_path):
    (tmp_path / "preview.md").write_text("| of yesterday |")
    result, _ = run(None, "--summary", "preview.md")
    assert result.exit_code != 0
    assert Path("preview.md").read_text() == f"{preview.UNFINISHED}\n"


def test_a_cluster_without_stacks_is_no_success(run):
    result, _ = run(SAME, stacks=False)
    assert result.exit_code == 1
    assert "there is no stack" in result.output


def test_no_change_is_said():
    assert "| `s` | no change |" in markdown([Planned("s", SAME)])


def test_only_stacks_that_a_change_touches_are_previewed(run, tmp_path):
    (tmp_path / "changed").write_text("helm/service/values.yaml\ndocs/a.md\n")
    result, engine = run(SAME, "--changed", "changed")
    assert result.exit_code == 0, result.output
    assert engine.asked == [(Project.SERVICE, "c-dev", False)]


def test_a_change_that_touches_no_stack_says_so_and_is_no_failure(run, tmp_path):
    (tmp_path / "changed").write_text("docs/a.md\n")
    result, engine = run(SAME, "--changed", "changed", "--summary", "preview.md")
    assert (result.exit_code, engine.asked) == (0, [])
    assert Path("preview.md").read_text() == "No stack is touched: nothing to preview.\n"


def test_a_plan_names_what_would_be_previewed_and_previews_nothing(run, tmp_path):
    (tmp_path / "changed").write_text("helm/service/values.yaml\n")
    (tmp_path / "output").write_text("before=1\n")
    result, engine = run(SAME, "--changed", "changed", "--plan", "output")
    assert (result.exit_code, engine.asked) == (0, [])
    assert not engine.provided, "built only for who previews"
    assert Path("output").read_text() == 'before=1\nstacks=["slipway-service/c-dev"]\n'
    (tmp_path / "changed").write_text("docs/a.md\n")
    run(SAME, "--changed", "changed", "--plan", "output")
    assert Path("output").read_text().endswith("stacks=[]\n")


@pytest.mark.parametrize("more", [("--summary", "preview.md"), ("--refresh",), ("--expect-no-changes",)])
def test_a_plan_takes_nothing_that_needs_a_preview(run, tmp_path, more):
    result, engine = run(SAME, "--plan", "output", *more)
    assert (result.exit_code, engine.asked) == (2, [])
    assert "--plan previews nothing" in result.output
    assert list(tmp_path.iterdir()) == []


def test_one_stack_can_be_previewed_alone(run):
    result, engine = run(DRIFTED, "--stack", "slipway-service/c-dev", "--summary", "preview.md")
    assert result.exit_code == 0, result.output
    assert engine.asked == [(Project.SERVICE, "c-dev", False)]
    assert Path("preview.md").read_text() == f"{preview.HEAD}| `slipway-service/c-dev` | 1 create, 3 update |\n"


def test_one_that_dies_leaves_its_row_of_the_table(run):
    result, _ = run(None, "--stack", "slipway-service/c-dev", "--summary", "preview.md")
    assert result.exit_code != 0
    assert Path("preview.md").read_text() == f"{preview.HEAD}| `slipway-service/c-dev` | {preview.UNFINISHED} |\n"


def test_a_stack_that_is_not_there_is_named_with_those_that_are(run):
    result, engine = run(SAME, "--stack", "slipway-service/c-prod")
    assert (result.exit_code, engine.asked) == (1, [])
    assert "there are: slipway-cluster/c, slipway-service/c-dev" in result.output
