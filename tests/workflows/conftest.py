"""What runs of workflows share is a plain module beside this file; the API server is that of the rollouts' tests."""

import sys
from pathlib import Path

import pytest

from slipway.toolchain import Toolchain

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "slipway" / "rollout")]


@pytest.fixture(scope="session")
def act():
    return Toolchain().ensure(["act"])["act"]
