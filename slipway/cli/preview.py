"""`slipway preview`: what `up` would change, stack by stack; with --refresh, where the world has drifted from them."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import click
from pydantic import JsonValue

from infra.engine import REPOSITORY
from slipway import reports, touched
from slipway.cli.context import Tools, cluster_option
from slipway.cli.progress import Progress
from slipway.cli.requirements import PLATFORM_PROGRAMS

NOTHING: Final = "No stack is touched: nothing to preview."
UNFINISHED: Final = "The preview has not ended: what it printed says why."
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
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Write a Markdown table here.")
def command(cluster: str, refresh: bool, strict: bool, changed: Path | None, summary: Path | None) -> None:
    """Preview the stacks of a cluster; changes neither it nor the state; writes the report `preview`."""
    started = dt.datetime.now(dt.UTC)
    _summarise(summary, f"{UNFINISHED}\n")
    with Progress() as progress:
        tools = Tools(progress)
        tools.place.prepare(tools.toolchain.ensure(PLATFORM_PROGRAMS)[PLATFORM_PROGRAMS[0]])
        planned: list[Planned] = []
        there = list(reversed(list(tools.engine.stacks_of(cluster))))
        for project, stack in there if changed is None else _touched(changed, there):
            progress.step(f"{project.value}/{stack}")
            planned.append(Planned(f"{project.value}/{stack}", tools.engine.preview(project, stack, refresh=refresh)))
        seconds = progress.elapsed
    if not there:
        raise click.ClickException(
            f"there is no stack of a cluster {cluster!r}; `slipway up --cluster {cluster}` makes it"
        )
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
        path.write_text(text, encoding="utf-8")


def _touched(changed: Path, there: Sequence[touched.Stack]) -> list[touched.Stack]:
    return touched.stacks(changed.read_text(encoding="utf-8").split("\n"), touched.reach(REPOSITORY), there)


def markdown(planned: Sequence[Planned]) -> str:
    """The table that a pull request shows: counts only, never a value."""
    if not planned:
        return f"{NOTHING}\n"
    rows = [f"| `{it.stack}` | {it.told} |" for it in planned]
    return "\n".join(["| stack | would change |", "|---|---|", *rows, ""])


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
