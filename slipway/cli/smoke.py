"""The short proof that a service answers: k6 through the ingress, from this machine."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from infra.naming import Environment, Project, live_host, service_stack
from loadtests import k6
from loadtests.plan import LoadPlan
from slipway.cli.context import Tools
from slipway.cli.reach import address_of

RATE = 20
SECONDS = 10


def run(platform: Mapping[str, Any], service: Mapping[str, Any], environment: Environment) -> k6.LoadResult:
    """Send a little of everything to the service.

    Args:
        platform: the platform stack's outputs.
        service: the service stack's outputs.
        environment: whose service.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-smoke-") as folder:
        ca = write_ca(platform, Path(folder))
        plan = plan_for(
            platform, service, environment, scenario="smoke", rate=RATE, seconds=SECONDS, ca=ca, workdir=Path(folder)
        )
        return k6.run(plan)


def plan_for(
    platform: Mapping[str, Any],
    service: Mapping[str, Any],
    environment: Environment,
    *,
    scenario: str,
    rate: int,
    seconds: int,
    ca: Path,
    workdir: Path,
    workload: str = "constant",
) -> LoadPlan:
    """A plan against the live host of an environment; it fails if requests are missing."""
    host = live_host(environment, platform["domain"])
    return LoadPlan(
        scenario=scenario,
        workload=workload,
        base_url=f"https://{host}",
        rate=rate,
        duration=seconds,
        host=host,
        ca=ca,
        address=address_of(platform["ingressAddress"]),
        workdir=workdir,
        secrets={"SLIPWAY_TOKEN": service["accessKey"]},
    ).guarded()


def running_service(
    tools: Tools, cluster: str, environment: Environment
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The outputs of the platform's and the service's stack.

    Raises:
        click.ClickException: one of them is not there.
    """
    platform = tools.engine.outputs(Project.PLATFORM, cluster)
    service = tools.engine.outputs(Project.SERVICE, service_stack(cluster, environment))
    if not platform or not service:
        raise click.ClickException(
            f"no service is running in {environment.value} on cluster {cluster!r}; "
            f"`slipway up --cluster {cluster} --environment {environment.value}` makes it"
        )
    return platform, service


def write_ca(platform: Mapping[str, Any], folder: Path) -> Path:
    """The ingress's authority as a file in `folder`, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ca.pem"
    path.write_text(platform["caCertificate"])
    return path
