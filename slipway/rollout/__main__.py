"""`python -m slipway.rollout`: the controller's process."""

import argparse
import asyncio
import os
import uuid
from dataclasses import fields
from pathlib import Path

from slipway.rollout.controller import Settings, serve


def settings_of(arguments: list[str] | None = None) -> Settings:
    """Return the settings that the command line asks for; each flag is a field of `Settings`."""
    defaults = Settings(identity=f"{os.environ.get('POD_NAME', 'controller')}-{uuid.uuid4().hex[:8]}")
    parser = argparse.ArgumentParser(prog="slipway-rollout", description="The rollout controller.")
    for found in fields(Settings):
        value = getattr(defaults, found.name)
        kind = int if isinstance(value, int) else Path if found.name.endswith("_file") else str
        parser.add_argument(f"--{found.name.replace('_', '-')}", type=kind, default=value, dest=found.name)
    return Settings(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    asyncio.run(serve(settings_of()))
