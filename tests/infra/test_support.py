"""The support table claims nothing that it does not show, and README says what the table says."""

import datetime as dt
from dataclasses import replace

import pytest

from infra import support
from infra.settings import Target
from infra.support import TABLE, Level

EMBEDDED = TABLE[0]
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda it: it.target.value)


def test_readme_is_up_to_date():
    page = support.PAGE.read_text()
    assert page == support.replaced(page), "README.md is not what infra/support.py says: run `python -m infra.support`"


def test_every_target_that_can_be_chosen_has_one_row():
    assert sorted(it.target for it in TABLE) == sorted(Target)


@ROWS
def test_the_tests_that_a_row_names_are_there(row):
    for path in row.tests:
        found = support.REPOSITORY / path
        assert found.is_file() or list(found.glob("test_*.py")), path


@ROWS
def test_what_is_proven_on_a_cluster_has_tests_on_one(row):
    assert (row.level is Level.MOCKS) == (not any(path.startswith("tests/e2e/") for path in row.tests))


def test_a_day_without_a_cluster_is_refused_and_the_other_way_round():
    with pytest.raises(ValueError, match="embedded is proven 'on a cluster' and last ran None"):
        replace(EMBEDDED, last_run=None)
    with pytest.raises(ValueError, match="last ran 2026-01-01"):
        replace(EMBEDDED, level=Level.WRITTEN, last_run=dt.date(2026, 1, 1))


def test_a_row_without_tests_is_refused():
    with pytest.raises(ValueError, match="embedded names no tests"):
        replace(EMBEDDED, tests=())


@pytest.mark.parametrize("page", ["", "<!-- End of what is generated. -->\n", "a\n" * 3])
def test_a_page_without_a_place_for_it_is_refused(page):
    with pytest.raises(ValueError, match="the page must hold"):
        support.replaced(page)


def test_a_page_that_is_stale_is_made_right():
    page = support.PAGE.read_text()
    stale = page.replace("2026", "1999")
    assert stale != page
    assert support.render() in support.replaced(stale)
