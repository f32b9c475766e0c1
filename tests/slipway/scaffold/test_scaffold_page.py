"""docs/how-to/first-canary.md: what needs no cluster is run as it stands there, the rest must at least be possible."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from slipway import cli

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "how-to" / "first-canary.md").read_text()
LINES = [line.strip() for line in re.findall(r"^    \S.*$", PAGE, re.MULTILINE)]
OURS = [shlex.split(line)[1:] for line in LINES if line.startswith("slipway ")]


def parsed(words):
    """The command that words name, with its options read; raises what click would tell a user."""
    command, context = cli.cli, click.Context(cli.cli)
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(context, name)
        assert command is not None, name
    return command.make_context(command.name, list(words))


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_every_command_of_the_page_exists_with_its_options(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").touch()
    assert parsed(words).params


def test_a_command_that_does_not_exist_would_be_found():
    with pytest.raises(click.UsageError):
        parsed(["rollout", "start", "--imgae", "a"])


def test_the_first_step_leaves_what_the_page_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (words,) = [it for it in OURS if it[0] == "init"]
    done = CliRunner().invoke(cli.cli, words)
    assert done.exit_code == 0, done.output
    table = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)
    listed = {name for cell in table for name in re.findall(r"`([^`]+)`", cell)}
    listed = {name if "/" in name else f".github/workflows/{name}" for name in listed}
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    stacks = {path for path in written if re.fullmatch(r"deploy/Pulumi\..+\.yaml", path)}
    assert stacks
    assert written - stacks == listed - {"deploy/Pulumi.CLUSTER-ENVIRONMENT.yaml"}


def test_what_the_page_does_stands_in_its_order():
    verbs = [it for words in OURS for it in (words[0], words[1] if words[0] in {"image", "rollout"} else "")]
    steps = ["init", "image publish", "check-service", "image publish", "rollout start", "rollout history"]
    assert " ".join(it for it in verbs if it) == " ".join(steps)
