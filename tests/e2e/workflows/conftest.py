"""Runs of workflows are made as those on a played cluster are (tests/workflows)."""

import sys
from pathlib import Path

import pytest

from slipway.toolchain import Toolchain

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "workflows")]


@pytest.fixture(scope="session")
def act():
    return Toolchain().ensure(["act"])["act"]
