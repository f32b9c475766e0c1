"""What the machine that runs `up` or `down` must have for the target `eks`, and has not by itself.

Two programs of AWS and Pulumi, which no package registry that Slipway builds from carries: the provider's plug-in, and
AWS's command line, which the kubeconfig asks for tokens.
"""

import shutil
from importlib import metadata
from typing import Final

from infra.engine import EngineError, Place

PROVIDER: Final = "pulumi-aws"


def check(place: Place) -> None:
    """Tell what is missing before anything is made.

    Args:
        place: Where Pulumi's plug-ins are.

    Raises:
        EngineError: Something is; with how to get it.
    """
    missing = [*_plugin(place), *_command_line(place)]
    if missing:
        raise EngineError(
            "the target eks needs what this machine lacks:\n"
            + "\n".join(f"  {line}" for line in missing)
            + "\nNothing was changed so far (docs/how-to/eks.md)."
        )


def _plugin(place: Place) -> list[str]:
    version = metadata.version(PROVIDER)
    if place.has_plugin("aws", version):
        return []
    how = f'`eval "$(slipway env)" && pulumi plugin install resource aws v{version}`'
    return [f"the provider's plug-in aws v{version}: {how} (with --file if it was downloaded already)"]


def _command_line(place: Place) -> list[str]:
    if shutil.which("aws", path=place.environment()["PATH"]):
        return []
    return ["AWS's command line, `aws`, on PATH: each use of the cluster asks it for a token"]
