"""`slipway bench-ingress`: what the way through the ingress costs, against the way to a pod directly."""

from pathlib import Path

import click

from infra.naming import Environment
from loadtests import k6
from slipway import reports
from slipway.cli import bench_stand
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.drill import show
from slipway.cli.progress import Progress
from slipway.cli.smoke import plan_for, running_service, write_ca
from slipway.node.cluster import kubectl_of, load
from slipway.node.stock import Stock
from slipway.proof.clock import SystemClock
from slipway.proof.ingress_bench import Bench

FOLDER = Path("build/bench-ingress")


@click.command("bench-ingress")
@cluster_option
@environment_option
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Of both ways, full and even."
)
@click.option("--seconds", type=click.IntRange(5, 600), default=15, show_default=True, help="Of each run.")
def command(*, cluster: str, environment: str, rounds: int, seconds: int) -> None:
    """Ask a pod directly and through the ingress, in turns; writes the report `bench-ingress`.

    The pod is one more of the version that serves, with a small CPU limit, so that it is the bottleneck of both ways.
    It needs an embedded cluster, and about two minutes for the control and each two rounds.
    """
    where, clock = Environment(environment), SystemClock()
    with Progress() as progress:
        platform, service = running_service(Tools(progress), cluster, where)
        spec = load(cluster)
        live = plan_for(platform, service, where, scenario="page", rate=1, seconds=1,
                        ca=write_ca(platform, FOLDER), workdir=FOLDER)  # fmt: skip
        progress.step("one more pod, with a small CPU limit")
        bench = Bench(k6.run, clock, seconds=seconds, say=progress.step)
        kubectl = kubectl_of(spec, Stock())
        with bench_stand.stand(kubectl, spec, live, namespace=where.value, clock=clock, run=k6.run) as stand:
            report, sections = bench.measure(stand, rounds)
    show(report, reports.write(report, sections=sections))
