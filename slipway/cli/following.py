"""Following a rollout from outside: drawn or as JSON lines, to its end, with a report. The cluster needs none of it."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, final

import click
from rich.live import Live

from slipway import reports
from slipway.cli import versions
from slipway.cli.screen import console
from slipway.rollout import objects, story, view
from slipway.rollout.api import CORE, Api, Refused, connect, path_of
from slipway.rollout.client import Client, ExitCode, UsageError, Wish, event_of, outcome
from slipway.rollout.loop import Conflict, Unavailable
from slipway.rollout.observation import Rollout

MANAGER: Final = "slipway-cli"
PATIENCE: Final = 60.0
"""Seconds without an answer of the API server after which a client gives up; the rollout does not."""


@dataclass(frozen=True)
class Where:
    """Which Rollout, and how the cluster is reached: a kubeconfig, or None for the environment's."""

    namespace: str
    name: str
    kubeconfig: Path | None


@asynccontextmanager
async def attached(where: Where) -> AsyncGenerator[tuple[Client, Api]]:
    """A client of the Rollout, for as long as it is used."""
    config = connect(None if where.kubeconfig is None else str(where.kubeconfig))
    async with Api(config, manager=MANAGER) as api:
        yield Client(api, where.namespace, where.name), api


def run(where: Where, work: Callable[[Client, Api], Coroutine[None, None, ExitCode]]) -> None:
    """Do something with a Rollout, and exit as docs/reference/rollout.md says."""

    async def go() -> ExitCode:
        async with attached(where) as (client, api):
            return await work(client, api)

    try:
        code = asyncio.run(go())
    except UsageError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        code = ExitCode.USAGE
    except (Refused, Conflict) as error:
        raise click.ClickException(f"the API server refused: {error}") from error
    except Unavailable as error:
        click.secho(f"error: the API server does not answer: {error}", fg="red", err=True)
        click.echo("The rollout goes on without us; `slipway rollout watch` attaches again.", err=True)
        code = ExitCode.UNREACHABLE
    sys.exit(int(code))


class Display(Protocol):
    """Shows one state after the other."""

    def show(self, rollout: Rollout) -> None:
        """Show a state."""
        ...


@final
class JsonLines:
    """A line of JSON for each state, on standard output."""

    def show(self, rollout: Rollout) -> None:
        """Print a state."""
        click.echo(json.dumps(event_of(rollout)))


@final
class Drawn:
    """The live view on a terminal; elsewhere (a log) a line for each new phase or message."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._said = ("", "")

    def show(self, rollout: Rollout) -> None:
        """Draw a state."""
        status = rollout.status
        if self._live is not None:
            self._live.update(view.render(rollout, time.time()), refresh=True)
        elif self._said != (status.phase.value, status.message):
            self._said = (status.phase.value, status.message)
            click.echo(f"{status.phase.value}: {status.message}")
            if wait := view.waits(status):
                click.echo(wait)


async def follow(
    client: Client, api: Api, ended: Callable[[Rollout], ExitCode | None], *, as_json: bool, record: str | None = None
) -> ExitCode:
    """Show every state until the end.

    Args:
        client: of the Rollout.
        api: for what changed between the revisions.
        ended: how it ended, or None while it goes on.
        as_json: lines of JSON instead of the live view.
        record: the image that a report is written about; None writes none.

    Raises:
        Unavailable: nothing answered for `PATIENCE` seconds.
    """
    recording = story.Recording()
    output = console()
    live = Live(console=output, auto_refresh=False) if output.is_terminal and not as_json else None
    display: Display = JsonLines() if as_json else Drawn(live)
    if live is not None:
        live.start()
    try:
        code = await _until(client, ended, display, recording)
    finally:
        if live is not None:
            live.stop()
    if record is not None and code in {ExitCode.PROMOTED, ExitCode.ROLLED_BACK}:
        changes = await _changes(api, client, recording)
        told = story.sections(recording, changes)
        measured = await versions.section(api, client, recording)
        path = reports.write(
            story.report(recording, image=record, outcome=code), sections=(told[0], measured, *told[1:])
        )
        click.echo(f"report: {path.with_suffix('.html')}", err=True)
    return code


async def _until(
    client: Client, ended: Callable[[Rollout], ExitCode | None], display: Display, recording: story.Recording
) -> ExitCode:
    async for rollout in client.follow(patience=PATIENCE, every=0.5):
        recording.note(rollout, time.time())
        display.show(rollout)
        code = ended(rollout)
        if code is not None:
            return code
    raise AssertionError("a client follows for ever")


async def _changes(api: Api, client: Client, recording: story.Recording) -> dict[str, tuple[str, str]]:
    """What differs between the pods of the two revisions; empty if one of them was never seen or may not be."""
    template = recording.moments[-1].rollout.spec.template
    pods: list[dict[str, object]] = []
    for revision in story.revisions(recording):
        if revision is None:
            return {}
        name = objects.pinned_name(template, revision.hash)
        try:
            found = await api.get(path_of(CORE, client.namespace, "podtemplates", name))
        except Refused:  # who may only start versions may not read templates; how it ended is known all the same
            return {}
        if found is None:
            return {}
        pods.append(found["template"])
    before, after = pods
    return story.changed(before, after)


def promoted_or_back(image: str, wish: Wish) -> Callable[[Rollout], ExitCode | None]:
    """How the rollout of an image ended, told by states that are not older than the wish.

    Args:
        image: which one is waited for.
        wish: that it be.
    """
    return lambda rollout: outcome(rollout, image, wish)


def taken_back(revision: str) -> Callable[[Rollout], ExitCode | None]:
    """Whether every HAProxy has confirmed that a revision gets no request any more.

    Args:
        revision: its hash.
    """

    def ended(rollout: Rollout) -> ExitCode | None:
        status = rollout.status
        gone = status.rejects(revision) and any(
            line.revision == revision and line.result.startswith("rolled back") for line in status.history
        )
        return ExitCode.PROMOTED if gone else None

    return ended
