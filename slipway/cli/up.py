"""`slipway up`: from nothing to a service that answers through HAProxy."""

import datetime as dt
import fcntl
import json
import shutil
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import click
from rich.table import Table

from infra.clusters.eks import needs
from infra.engine import EngineError
from infra.naming import Environment, Project, live_host, service_stack
from infra.profiles import ProfileName
from infra.settings import Target
from loadtests.k6 import LoadResult
from slipway import reports
from slipway.cli import first_objects, requirements, settling, smoke
from slipway.cli.context import Tools, cluster_option, environment_option, state_folder
from slipway.cli.kube import kubectl_for
from slipway.cli.progress import Progress
from slipway.cli.screen import console, tell_missed
from slipway.toolchain import debian

FOLDER = Path("build/up")


@click.command("up")
@cluster_option
@environment_option
@click.option(
    "--target",
    type=click.Choice(["auto", *(it.value for it in Target)]),
    default="auto",
    show_default=True,
    help="Which kind of cluster; `auto` keeps a stack's choice, else takes `embedded`.",
)
@click.option("--nodes", type=click.IntRange(1, 3), help="Nodes of an embedded cluster. [default: 3]")
@click.option("--network", help="The embedded cluster's bridge, a private /24. [default: 10.123.0.0/24]")
@click.option("--profile", type=click.Choice([it.value for it in ProfileName]), help="How big everything is.")
@click.option(
    "--set",
    "settings",
    type=(str, str),
    multiple=True,
    metavar="KEY VALUE",
    help="A setting that its stack keeps, as `--set slipway-platform:redis off`; an object as JSON. May be repeated.",
)
@click.option(
    "--objects",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of objects that the platform must find, as the Secret of a store for backups: put on the cluster first.",
)
@click.option("--refresh", is_flag=True, help="Look at everything first, and take back what was changed by hand.")
def command(
    *,
    cluster: str,
    environment: str,
    target: str,
    nodes: int | None,
    network: str | None,
    profile: str | None,
    settings: tuple[tuple[str, str], ...],
    objects: Path | None,
    refresh: bool,
) -> None:
    """Make the cluster, the platform and the service; prove it by k6; print where things are.

    What is there already is left alone. It can be interrupted at any time: the same command goes on.
    """
    started = dt.datetime.now(dt.UTC)
    steps: dict[str, float] = {}
    with only_one(cluster), Progress() as progress:
        tools = Tools(progress)
        embedded = {k: v for k, v in (("nodes", nodes), ("network", network)) if v is not None}
        wanted = Wanted(
            cluster,
            Environment(environment),
            target,
            by_project(settings),
            embedded,
            profile,
            first_objects.read(objects) if objects else (),
            refresh=refresh,
        )
        made, outputs, service = bring_up(tools, wanted, steps)
        progress.step("proving it: k6 through HAProxy")
        proof = smoke.run(outputs, service, Environment(environment))
        news = settling.see(made["kubeconfig"], lambda api: settling.news(api, Environment(environment)))
        steps["all"] = progress.elapsed
    report = _report(started, steps, proof)
    path = reports.write(report)
    ca = smoke.write_ca(outputs, FOLDER)
    console().print(_table(outputs, Environment(environment), path))
    tell_missed(report)
    for line in news:
        click.secho(f"  {line}", fg="yellow")
    for line in _to_copy(outputs, Environment(environment), ca):
        click.echo(f"  {line}")
    sys.exit(report.verdict.exit_code)


@final
@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        cluster: Its name.
        environment: Whose service.
        target: Which kind of cluster, or `auto`.
        settings: What stacks are to keep.
        embedded: Settings of an embedded cluster.
        profile: How big everything is; None: as it is set.
        objects: What is put on the cluster before the platform.
        refresh: Whether things are looked at first, instead of trusting the state.
    """

    cluster: str
    environment: Environment
    target: str
    settings: Mapping[Project, Mapping[str, str]]
    embedded: Mapping[str, Any] = field(default_factory=dict[str, Any])
    profile: str | None = None
    objects: Sequence[Mapping[str, Any]] = ()
    refresh: bool = False


def by_project(settings: Iterable[tuple[str, str]]) -> dict[Project, dict[str, str]]:
    """Settings by the project that they belong to, without its name before the key.

    Raises:
        click.UsageError: A key does not begin with a project's name.
    """
    found: dict[Project, dict[str, str]] = {project: {} for project in Project}
    for key, value in settings:
        name, _, rest = key.partition(":")
        if name not in list(Project) or not rest:
            allowed = ", ".join(f"{project.value}:KEY" for project in Project)
            raise click.UsageError(f"--set {key}: allowed are {allowed}; docs/reference/settings.md lists every key")
        found[Project(name)][rest] = value
    return found


def bring_up(
    tools: Tools, wanted: Wanted, steps: dict[str, float]
) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """The three projects in their order, while the toolchain builds ahead what the next one needs; their outputs.

    Returns once every pod that was to be replaced has been.
    """
    progress, here = tools.progress, wanted.target in {"auto", Target.EMBEDDED}
    if here:
        debian.ensure((*requirements.EMBEDDED_PACKAGES, *requirements.IMAGE_PACKAGES), progress.step)
    progress.step("programs of the cluster")
    tools.toolchain.ensure(requirements.CLUSTER_PROGRAMS if here else ["pulumi-home"])
    ahead = tools.build_ahead() if here else None
    steps["programs of the cluster"] = progress.elapsed
    if wanted.target == Target.EKS:
        needs.check(tools.place)
        tools.kubernetes_plugin()  # the cluster's own project makes a storage class there
    progress.step(f"cluster {wanted.cluster}")
    chosen = {} if wanted.target == "auto" else {"target": wanted.target}
    config = {**chosen, **({"embedded": json.dumps(wanted.embedded)} if wanted.embedded else {})}
    config |= wanted.settings[Project.CLUSTER]
    made = tools.engine.up(Project.CLUSTER, wanted.cluster, config, progress.engine_event, refresh=wanted.refresh)
    if not here and made["capabilities"]["local_images"]:
        debian.ensure(requirements.IMAGE_PACKAGES, progress.step)
    if wanted.objects:
        progress.step("objects that the platform must find")
        with kubectl_for(tools, wanted.cluster) as kubectl:
            first_objects.put(kubectl, wanted.objects)
    steps["cluster"] = progress.elapsed
    tools.kubernetes_plugin()
    progress.step("platform")
    config = {**({"profile": wanted.profile} if wanted.profile else {}), **wanted.settings[Project.PLATFORM]}
    outputs = tools.engine.up(Project.PLATFORM, wanted.cluster, config, progress.engine_event, refresh=wanted.refresh)
    steps["platform"] = progress.elapsed
    progress.step(f"service in {wanted.environment.value}")
    service = tools.engine.up(
        Project.SERVICE,
        service_stack(wanted.cluster, wanted.environment),
        wanted.settings[Project.SERVICE],
        progress.engine_event,
        refresh=wanted.refresh,
    )
    steps["service"] = progress.elapsed
    if ahead:
        ahead.wait()
    settling.see(made["kubeconfig"], lambda api: settling.settle(api, progress.step))
    settling.see(made["kubeconfig"], lambda api: settling.first_backup(api, progress.step))
    return made, outputs, service


def _report(started: dt.datetime, steps: Mapping[str, float], proof: LoadResult) -> reports.Report:
    bars = [
        reports.Bar.exactly("k6 smoke through HAProxy over TLS", proof.exit_class.value, "pass"),
        reports.Bar.exactly("failed requests", proof.failed, 0),
    ]
    return reports.Report(
        name="up",
        started=started,
        seconds=steps["all"],
        figures={
            "seconds until": {name: round(value, 1) for name, value in steps.items()},
            "requests": proof.requests,
            "p99 ms": proof.p99,
        },
        bars=tuple(bars),
        verdict=reports.derive(bars),
    )


def _table(outputs: Mapping[str, Any], environment: Environment, report: Path) -> Table:
    host = live_host(environment, outputs["domain"])
    address = outputs["ingressAddress"]
    table = Table(box=None, show_header=False)
    table.add_row("[bold]service[/bold]", f"https://{host}/  at {address}")
    table.add_row("load it", "slipway loadtest run smoke")
    table.add_row("parts", "slipway status")
    table.add_row("kubectl", "slipway kubeconfig > FILE")
    table.add_row("report", str(report.with_suffix(".html")))
    return table


def _to_copy(outputs: Mapping[str, Any], environment: Environment, ca: Path) -> list[str]:
    """Lines for a shell, which no width of a terminal may break."""
    host, address = live_host(environment, outputs["domain"]), outputs["ingressAddress"]
    path = [] if shutil.which("slipway") else [f'export PATH="{Path(sys.prefix) / "bin"}:$PATH"']
    return [*path, f"curl --cacert {ca} --resolve {host}:443:{address} https://{host}/version"]


@contextmanager
def only_one(cluster: str) -> Generator[None]:
    """One `up` of a cluster at a time; the lock goes with the process."""
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"up-{cluster}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(f"another `slipway up` of cluster {cluster!r} is running ({path} is locked)") from None
        yield
