"""The controller's process loads nothing that its image does not have."""

import subprocess
import sys

FORBIDDEN = ("pulumi", "infra", "matplotlib", "slipway.node", "slipway.cli", "slipway.toolchain", "app")


def test_the_controller_loads_neither_pulumi_nor_the_rest_of_the_house():
    program = "import slipway.rollout.__main__, slipway.rollout.manifests, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "slipway.rollout.controller" in loaded
    assert not [name for name in loaded if name.startswith(tuple(f"{it}." for it in FORBIDDEN)) or name in FORBIDDEN]
