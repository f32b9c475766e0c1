"""Each row of the concepts page names files and a test that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "concepts.md"
ROWS = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| [A-L][0-9]{2} \|.*::", line)]


def test_the_page_has_its_rows():
    assert len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_row_points_at_code_and_at_a_test(row):
    *_, where, test, _ = row.split("|")
    for path in re.findall(r"`([^`]+)`", where):
        assert (ROOT / path).exists(), path
    file, _, name = test.strip().strip("`").partition("::")
    assert f"def {name}(" in (ROOT / "tests" / "app" / file).read_text("utf-8")
