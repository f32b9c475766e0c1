"""`slipway preview`: what `up` would change, stack by stack; with --refresh, where the world has drifted from them."""

import datetime as dt
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import click
from pydantic import JsonValue

from infra.engine import REPOSITORY
from infra.naming import Project
from slipway import reports, touched
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress

NOTHING: Final = "No stack is touched: nothing to preview."
UNFINISHED: Final = "The preview has not ended: what it printed says why."
HEAD: Final = "| stack | would change |\n|---|---|\n"
QUIET: Final = frozenset({"same", "read"})


@final
@dataclass(frozen=True)
class Planned:
    """What would happen to a stack: operation -> how many resources."""

    stack: str
    changes: Mapping[str, int]

    @property
    def told(self) -> str:
        """The changes for people."""
        loud = [f"{count} {kind}" for kind, count in sorted(self.changes.items()) if count and kind not in QUIET]
        return ", ".join(loud) or "no change"

    @property
    def quiet(self) -> bool:
        """Whether nothing would change."""
        return self.told == "no change"


@click.command("preview")
@cluster_option
@click.option("--refresh", is_flag=True, help="Ask the cluster how things are, instead of trusting the state.")
@click.option("--expect-no-changes", "strict", is_flag=True, help="Any change fails the report.")
@click.option(
    "--changed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the paths that changed, one a line: preview only stacks that these touch.",
)
@click.option("--stack", "only", metavar="PROJECT/STACK", help="Preview this one alone.")
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Write a Markdown table here.")
@click.option(
    "--plan",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Preview nothing: append `stacks=[...]` here, what --stack can be given, for the jobs of a workflow.",
)
def command(
    *,
    cluster: str,
    refresh: bool,
    strict: bool,
    changed: Path | None,
    only: str | None,
    summary: Path | None,
    plan: Path | None,
) -> None:
    """Preview the stacks of a cluster; changes neither it nor the state; writes the report `preview`."""
    if plan is not None and (summary is not None or refresh or strict):
        raise click.UsageError("--plan previews nothing: leave out --summary, --refresh and --expect-no-changes")
    started = dt.datetime.now(dt.UTC)
    _summarise(summary, UNFINISHED if only is None else f"{HEAD}| `{only}` | {UNFINISHED} |")
    with Progress() as progress:
        tools = Tools(progress)
        there = list(reversed(list(tools.engine.stacks_of(cluster))))
        wanted = _wanted(there, cluster, changed, only)
        if plan is not None:
            _tell(plan, wanted)
            return
        tools.kubernetes_plugin()
        planned: list[Planned] = []
        for project, stack in wanted:
            progress.step(_name(project, stack))
            planned.append(Planned(_name(project, stack), tools.engine.preview(project, stack, refresh=refresh)))
        seconds = progress.elapsed
    _summarise(summary, markdown(planned))
    if not planned:
        click.echo(NOTHING)
        return
    found = report(started, seconds, planned, strict=strict)
    reports.write(found)
    for it in planned:
        click.echo(f"{it.stack}: {it.told}")
    sys.exit(found.verdict.exit_code)


def _summarise(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")


def _tell(plan: Path, wanted: Sequence[touched.Stack]) -> None:
    with plan.open("a", encoding="utf-8") as file:
        file.write(f"stacks={json.dumps([_name(*it) for it in wanted])}\n")


def _name(project: Project, stack: str) -> str:
    return f"{project.value}/{stack}"


def _wanted(
    there: Sequence[touched.Stack], cluster: str, changed: Path | None, only: str | None
) -> Sequence[touched.Stack]:
    """Which of the cluster's stacks are asked for.

    Raises:
        click.ClickException: It has none, or not the one that is named.
    """
    if not there:
        raise click.ClickException(
            f"there is no stack of a cluster {cluster!r}; `slipway up --cluster {cluster}` makes it"
        )
    if only is not None and only not in (names := [_name(*it) for it in there]):
        raise click.ClickException(f"there is no stack {only!r} of cluster {cluster!r}; there are: {', '.join(names)}")
    named = [it for it in there if only in {None, _name(*it)}]
    if changed is None:
        return named
    return touched.stacks(changed.read_text(encoding="utf-8").split("\n"), touched.reach(REPOSITORY), named)


def markdown(planned: Sequence[Planned]) -> str:
    """The table that a pull request shows: counts only, never a value."""
    if not planned:
        return NOTHING
    return HEAD + "\n".join(f"| `{it.stack}` | {it.told} |" for it in planned)


def report(started: dt.datetime, seconds: float, planned: Sequence[Planned], *, strict: bool) -> reports.Report:
    """The report `preview`: a bar for each stack."""
    bars = tuple(
        reports.Bar(
            what=it.stack,
            measured=it.told,
            bar="no change" if strict else "can be previewed",
            holds=it.quiet or not strict,
        )
        for it in planned
    )
    figures: dict[str, JsonValue] = {it.stack: dict(it.changes.items()) for it in planned}
    return reports.Report(
        name="preview", started=started, seconds=seconds, figures=figures, bars=bars, verdict=reports.derive(bars)
    )
