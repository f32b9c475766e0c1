"""The concepts page is complete, and each of its rows names files and a test that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "concepts.md"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
#: How many concepts the design notes have under each letter.
NOTES = {
    "A": 36,
    "B": 17,
    "C": 23,
    "D": 10,
    "E": 11,
    "F": 7,
    "G": 6,
    "H": 14,
    "I": 10,
    "J": 9,
    "K": 11,
    "L": 11,
    "M": 3,
}


def rows(section: str) -> list[str]:
    return [line for line in SECTIONS[section].splitlines() if re.match(r"\| [A-M][0-9]{2}", line)]


def ids(row: str) -> list[str]:
    return re.findall(r"[A-M][0-9]{2}", row.split("|")[1])


def paths(text: str) -> list[str]:
    """What stands in backticks and is a path: it has a slash or an ending, and no spaces."""
    written = re.findall(r"`([^`\s]+)`", text)
    return [it for it in written if "/" in it or re.search(r"(\.(py|md|ya?ml|lock)|^[A-Z][a-z]+file)$", it)]


BUILT = rows("In the payload")
SERVED = rows("Served by the platform and the pipeline")


def test_every_concept_of_the_notes_is_on_the_page():
    here = {it for section in SECTIONS for row in rows(section) for it in ids(row)}
    assert here == {f"{letter}{number:02}" for letter, most in NOTES.items() for number in range(1, most + 1)}


def test_a_concept_is_built_served_told_or_rejected_and_not_two_of_these():
    places = {section: {it for row in rows(section) for it in ids(row)} for section in SECTIONS}
    twice = (places["In the payload"] & places["Told, not built"]) | (
        places["Served by the platform and the pipeline"] & places["Rejected"]
    )
    assert twice == set()
    assert "Not built yet" not in SECTIONS


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row.split("|")[1].strip())
def test_a_row_points_at_code_and_at_a_test(row):
    *_, where, test, _ = row.split("|")
    found = re.findall(r"`([^`]+)`", where)
    assert found
    for path in found:
        assert (ROOT / path).exists(), path
    file, _, name = test.strip().strip("`").partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / "tests" / "app" / file).read_text("utf-8"), re.MULTILINE), name


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.split("|")[1].strip())
def test_a_row_of_the_platform_points_somewhere(row):
    where = row.split("|")[3]
    assert all((ROOT / path).exists() for path in paths(where)), paths(where)
    # Only what is not there has nowhere to point at.
    assert paths(where) or "not switched on" in where


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / target).exists(), target


def test_a_path_that_is_gone_would_be_noticed():
    assert paths("`infra/gone.py`, and `words with spaces`, `name`") == ["infra/gone.py"]
    assert not (ROOT / "infra/gone.py").exists()
