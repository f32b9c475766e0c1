"""Clusters for tests: made by the command that users run, removed at the end, whatever happens.

Tests of one file run in the order in which they stand (`-p no:randomly` in their marker's command), as each builds on
what the one before has left.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.engine import Engine, Place
from infra.naming import Environment, Project, service_stack
from slipway.node.cluster import kubectl_of, load
from slipway.node.stock import Stock
from slipway.toolchain import Toolchain

REPOSITORY = Path(__file__).resolve().parents[2]
UP_SECONDS = 3600


@dataclass(frozen=True)
class Running:
    """A cluster under test."""

    name: str
    state: Path

    def slipway(self, *arguments, seconds=UP_SECONDS):
        """Run the command line as a user would; returns the finished process."""
        return subprocess.run(
            [sys.executable, "-m", "slipway", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "SLIPWAY_STATE": str(self.state), "SLIPWAY_CLUSTER": self.name},
            timeout=seconds,
            check=False,
            capture_output=True,
            text=True,
        )

    @property
    def spec(self):
        return load(self.name)

    @property
    def kubectl(self):
        return kubectl_of(self.spec, Stock())

    @property
    def engine(self):
        place = Place(Toolchain().ensure(["pulumi-home"])["pulumi-home"], self.state / "pulumi")
        place.prepare(None)
        return Engine(place)

    def outputs(self, project):
        """The outputs of a project's stack."""
        return self.engine.outputs(project, dict(self.stacks())[project])

    def stacks(self):
        """Every project with its stack, in the order of making."""
        return [
            (Project.CLUSTER, self.name),
            (Project.PLATFORM, self.name),
            (Project.SERVICE, service_stack(self.name, Environment.DEV)),
        ]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A cluster of its own beside any other, with the service up."""
    it = Running("smoke", tmp_path_factory.mktemp("state"))
    it.slipway("down")
    done = it.slipway("up", "--network", "10.124.0.0/24")
    if done.returncode != 0:
        it.slipway("down")
        pytest.fail(f"`slipway up` exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    yield it
    it.slipway("down")
