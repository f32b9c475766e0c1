"""What pages say is there: links lead somewhere, commands exist, and every page is in the table of contents."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from slipway.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
#: What a page says of the past: what was tried then need not be there now.
OF_THE_PAST = {"CHANGELOG.md", "adr", "performance.md"}
PRESENT = [it for it in PAGES if not OF_THE_PAST & set(it.relative_to(ROOT).parts)]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^(?: {4}|\t)(.*)$|`([^`\n]+)`|^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[ $(])slipway ((?:[^|#`]|\\\|)+)")


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", it).lower()) for it in headings)
    return {it.replace(" ", "-") for it in plain}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_leads_somewhere(page):
    lost = []
    for target in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            lost.append(target)
    assert lost == []


def code(page: Path) -> Iterator[str]:
    """Each line of code; lines that go on are joined."""
    for found in CODE.finditer(page.read_text()):
        text = next(it for it in found.groups() if it is not None)
        yield from text.replace("\\\n", " ").splitlines()


def commands(page: Path) -> Iterator[str]:
    """Each `slipway ...`, to the end of its line or to a pipe."""
    for line in code(page):
        yield from (command.strip() for command in COMMAND.findall(line))


def wrong(words: list[str]) -> str:
    """What there is not of a command, or nothing."""
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        names = words[0].split("\\|" if "\\|" in words[0] else "|")
        if not re.fullmatch(r"[a-z][a-z-]*", names[0]):
            return ""  # what follows stands for any command
        context = click.Context(command)
        if unknown := [it for it in names if it not in command.list_commands(context)]:
            return f"no command {' '.join(unknown)}"
        command, words = command.get_command(context, names[0]) or command, words[1:]
        if len(names) > 1:
            return ""  # several at once: options are those of one of them
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {it for word in words for it in re.findall(r"^\[?(--[a-z][a-z-]*)", word)}
    return ", ".join(f"no option {it}" for it in sorted(given - known - {"--help"}))


@pytest.mark.parametrize("page", [it for it in PAGES if not OF_THE_PAST & set(it.relative_to(ROOT).parts)], ids=shown)
def test_every_command_that_is_shown_exists_with_its_options(page):
    found = {it: why for it in commands(page) if (why := wrong(it.split()))}
    assert found == {}


@pytest.mark.parametrize("page", PRESENT, ids=shown)
def test_every_make_target_that_is_shown_exists(page):
    known = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {it for line in code(page) for it in re.findall(r"^\s*(?:[A-Z_]+=\S+ )*make ([a-z][a-z0-9-]*)", line)}
    assert asked - known == set()


def test_a_command_that_is_not_there_is_found():
    assert wrong(["certificates", "list", "--of", "cluster"]) == ""
    assert wrong(["certificates", "burn"]) == "no command burn"
    assert wrong(["up", "--fast"]) == "no option --fast"
    assert len(list(commands(ROOT / "README.md"))) > 8


def test_every_page_stands_in_the_table_of_contents():
    contents = ROOT / "docs" / "README.md"
    listed = {(contents.parent / it).resolve() for it in LINK.findall(contents.read_text()) if "://" not in it}
    folders = ("architecture", "how-to", "reference")
    pages = {path for folder in folders for path in (ROOT / "docs" / folder).glob("*.md")}
    assert pages - listed == set()
