"""Runs of workflows are made as those on a played cluster are (tests/workflows)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "workflows")]
