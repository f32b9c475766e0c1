"""What the commands share: where things lie, the toolchain, the engine."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import click

from infra.engine import REPOSITORY, Engine, Place
from infra.naming import DEFAULT_CLUSTER, SERVICE, Environment
from slipway.cli import requirements
from slipway.cli.progress import Progress
from slipway.toolchain import Toolchain
from slipway.toolchain.background import Background
from slipway.toolchain.images import Images
from slipway.toolchain.processes import Children

STATE_VARIABLE = "SLIPWAY_STATE"

cluster_option = click.option(
    "--cluster", default=DEFAULT_CLUSTER, show_default=True, envvar="SLIPWAY_CLUSTER", help="Name of the cluster."
)
environment_option = click.option(
    "--environment",
    type=click.Choice([it.value for it in Environment]),
    default=Environment.DEV.value,
    show_default=True,
    help="Namespace and stack of the service.",
)
service_option = click.option(
    "--service",
    default=SERVICE,
    show_default=True,
    envvar="SLIPWAY_SERVICE",
    help="Name of the service, and of its Rollout.",
)


def state_folder() -> Path:
    """Where state that must last lies: $SLIPWAY_STATE, else below the user's state folder (XDG)."""
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "slipway"


@final
@dataclass
class Tools:
    """The toolchain and the engine, made when first asked for."""

    progress: Progress

    @cached_property
    def toolchain(self) -> Toolchain:
        """Builds and finds programs."""
        return Toolchain(on_event=self.progress.build_event)

    def build_ahead(self) -> Background:
        """Build what the next steps need, in the order of need, while the present one goes on."""
        images, children = Images(self.toolchain, repository=REPOSITORY), Children()

        def work() -> None:
            for name in requirements.CLUSTER_IMAGES:
                images.build(name)
            self.toolchain.ensure(requirements.PLATFORM_PROGRAMS, urgent=False, children=children)
            for name in (
                *requirements.PLATFORM_IMAGES,
                *requirements.DATA_IMAGES,
                *requirements.METRICS_IMAGES,
                *requirements.LOGS_IMAGES,
            ):
                images.build(name)

        return Background(work, children.stop)

    @cached_property
    def place(self) -> Place:
        """Pulumi's programs and state; the CLI is built if it is missing."""
        home = self.toolchain.ensure(["pulumi-home"])["pulumi-home"]
        return Place(home, state_folder() / "pulumi", os.environ.get("PULUMI_BACKEND_URL"))

    def kubernetes_plugin(self) -> None:
        """Put the plug-in that makes Kubernetes objects where Pulumi looks for it; built if it is missing."""
        plugin = requirements.PLATFORM_PROGRAMS[0]
        self.place.prepare(self.toolchain.ensure([plugin])[plugin])

    @cached_property
    def engine(self) -> Engine:
        """Runs the three projects."""
        self.place.prepare(None)
        return Engine(self.place)
