import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def promtool():
    """Runs promtool in a folder."""
    program = shutil.which("promtool")
    assert program, "promtool is not installed: run `slipway setup test`"

    def run(folder, *arguments):
        return subprocess.run(
            [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )

    return run
