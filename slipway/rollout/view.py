"""A rollout in the terminal: steps, weights, verdicts, what it waits for, and how long. Pure; the caller draws it."""

from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slipway.rollout.observation import Rollout
from slipway.rollout.spec import steps_of
from slipway.rollout.status import Colour, Phase, Reason, Revision, RolloutStatus, Verdict

STYLES: Final = {
    Phase.PAUSED: "yellow",
    Phase.APPROVAL: "yellow",
    Phase.ROLLING_BACK: "red",
    Phase.ROLLED_BACK: "red",
    Phase.DONE: "green",
    Phase.WARM_STANDBY: "green",
    Phase.DRAINING: "green",
}
VERDICTS: Final = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow", Verdict.ERROR: "yellow"}
BAR: Final = 30
"""Characters of a bar of weights."""
DIGEST: Final = 12


def render(rollout: Rollout, now: float) -> RenderableType:
    """Return the whole view.

    Args:
        rollout: as read.
        now: seconds since the epoch, for what is left of each timer.
    """
    parts: list[RenderableType] = [_head(rollout, now), _colours(rollout)]
    if rollout.status.candidate is not None:
        parts.append(_steps(rollout))
    if rollout.status.metrics:
        parts.append(_metrics(rollout))
    return Group(*parts)


def _head(rollout: Rollout, now: float) -> Text:
    status = rollout.status
    text = Text(f"{rollout.namespace}/{rollout.name} ", style="bold")
    text.append(status.phase.value, style=STYLES.get(status.phase, "cyan"))
    if status.reason:
        text.append(f" ({status.reason.value}{f' by {status.by}' if status.by else ''})")
    text.append(f"\n{status.message}\n")
    if wait := waits(status):
        text.append(f"{wait}\n", style="yellow")
    for name, moment in (("ends", status.until), ("deadline", status.deadline)):
        if moment is not None and moment > now:
            text.append(f"{name} in {left(moment - now)}  ", style="dim")
    return text


def waits(status: RolloutStatus) -> str:
    """Return what a person must do for the rollout to go on; nothing if it goes on by itself."""
    if not status.gate:
        return ""
    approve = f"slipway rollout approve --gate {status.gate}"
    if status.phase is Phase.PAUSED and status.reason is Reason.INCONCLUSIVE:
        return f"no verdict; if requests were too few, send more, then: {approve}"
    return f"waits for: {approve}"


def left(seconds: float) -> str:
    """Return a time that is left: `1 h 5 min`, `2 min 3 s`, `4 s`."""
    whole = int(seconds)
    if whole >= 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    if whole >= 60:  # noqa: PLR2004 - a minute
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole} s"


def _colours(rollout: Rollout) -> Table:
    status = rollout.status
    table = Table(box=None, pad_edge=False)
    for title in ("colour", "role", "version", "requests"):
        table.add_column(title)
    roles: dict[Colour, tuple[str, Revision]] = {}
    for role, revision in (("stable", status.stable), ("candidate", status.candidate), ("warm", status.standby)):
        if revision is not None:
            roles[revision.colour] = (role, revision)
    for colour in Colour:
        role, revision = roles.get(colour, ("-", None))
        share = None
        if status.observed is not None:
            share = status.observed.blue if colour is Colour.BLUE else status.observed.green
        version = "-" if revision is None else f"#{revision.number} {revision.digest[7 : 7 + DIGEST]}"
        table.add_row(colour.value, role, version, bar(share))
    return table


def bar(share: float | None) -> str:
    """Return a share of the requests as a bar with its number; unknown is said, not drawn as nothing."""
    if share is None:
        return "not read back yet"
    filled = round(BAR * share / 100)
    return f"{'█' * filled}{'░' * (BAR - filled)} {share:5.1f} %"


def _steps(rollout: Rollout) -> Text:
    text = Text("\nsteps  ")
    for number, step in enumerate(steps_of(rollout.spec)):
        present = number == rollout.status.step and rollout.status.intent is not None
        done = number < rollout.status.step
        text.append(f" {step.weight} % ", style="reverse" if present else "green" if done else "dim")
        if step.approval:
            text.append("(approval) ", style="dim")
    return text


def _metrics(rollout: Rollout) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("metric", "verdict", "value", "stable", "samples", ""):
        table.add_column(title)
    for metric in rollout.status.metrics:
        table.add_row(
            metric.name,
            Text(metric.verdict.value, style=VERDICTS.get(metric.verdict, "dim")),
            number(metric.value),
            number(metric.stable_value),
            number(metric.samples),
            Text(metric.message, style="dim"),
        )
    return table


def number(value: float | None) -> str:
    """Return a figure with four digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"
