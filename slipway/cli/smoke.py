"""The short proof that a service answers: k6 through the ingress, from this machine."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.naming import Environment, live_host
from loadtests import k6
from loadtests.plan import LoadPlan

RATE = 20
SECONDS = 10


def run(platform: Mapping[str, Any], environment: Environment) -> k6.LoadResult:
    """Send a little of everything to the service.

    Args:
        platform: the platform stack's outputs.
        environment: whose service.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-smoke-") as folder:
        ca = Path(folder) / "ca.pem"
        ca.write_text(platform["caCertificate"])
        plan = plan_for(
            platform, environment, scenario="smoke", rate=RATE, seconds=SECONDS, ca=ca, workdir=Path(folder)
        )
        return k6.run(plan)


def plan_for(
    platform: Mapping[str, Any],
    environment: Environment,
    *,
    scenario: str,
    rate: int,
    seconds: int,
    ca: Path,
    workdir: Path,
) -> LoadPlan:
    """A plan against the live host of an environment."""
    host = live_host(environment, platform["domain"])
    return LoadPlan(
        scenario=scenario,
        base_url=f"https://{host}",
        rate=rate,
        duration=seconds,
        host=host,
        ca=ca,
        address=platform["ingressAddress"],
        min_requests=rate * seconds,
        workdir=workdir,
    )
