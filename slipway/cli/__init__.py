"""The command `slipway`: one thin file a command. Exit codes: docs/reference/cli.md."""

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import click

COMMANDS: Final = {
    "up": "Make the cluster, the platform and the service; whatever is there already is left alone.",
    "down": "Remove a cluster and everything it made, also after a crash.",
    "status": "Show every part: ready or not, version, address.",
    "footprint": "Tell CPU, memory and disk per part: requested by a profile, or used by a cluster.",
    "init": "Write settings, workflows and stacks of a service of yours.",
    "env": 'Print what plain `pulumi` needs: eval "$(slipway env)".',
    "kubeconfig": "Print the administrator's kubeconfig of a cluster.",
    "node": "Drain, stop, start or remove a node of an embedded cluster.",
    "cache": "Carry what the toolchain has built to a machine without registries.",
    "recovery": "Save control plane, state and authority in one file, or bring them back.",
    "store": "Keep backups of an embedded cluster in a folder of this machine.",
    "certificates": "List the platform's certificates, or make them anew now.",
    "doctor": "Say what this machine has and lacks, and why it is needed.",
    "setup": "Install and build what a task needs, without doing it.",
    "image": "Build the service's image, push it, check its name.",
    "preview": "Show what `up` would change, and what has drifted.",
    "preflight": "Judge an environment before a version goes there.",
    "rollout": "Ask for a version of the service, and see how it goes.",
    "check-service": "Try the service contract on an image.",
    "audit": "List what we are made of, and judge what is known against it.",
    "loadtest": "Send load through the ingress and judge it.",
    "bench-ingress": "Measure what the way through the ingress costs.",
    "drill": "Break something under load, and measure what users feel.",
    "prove": "Prove that rollouts lose no request, whatever is killed meanwhile.",
    "dashboards": "Build, check, draw and serve the dashboards.",
    "logs": "Show what pods printed.",
    "trace": "Show what happened in one request, span by span.",
    "report": "List the reports of all measurements in one table.",
}

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


class _Commands(click.Group):
    """Loads a command's file when it is called, so that `slipway --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"slipway.cli.{cmd_name.replace('-', '_')}").command
        command.short_help = COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="slipway")
def cli() -> None:
    """Slipway: safe releases, failover and observability for a small web service."""


def _interrupt(_number: int, _frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does: load ends, and what was broken or made on the way is mended or removed.

    A terminal tells programs that the command has started, too: Pulumi, of which half an update would go on alone.
    """
    for children in Path("/proc/self/task").glob("*/children"):
        started: list[str] = []
        with suppress(OSError):  # the thread has ended meanwhile
            started = children.read_text().split()
        for child in map(int, started):
            with suppress(ProcessLookupError):
                if os.getpgid(child) == os.getpgrp():
                    os.kill(child, signal.SIGINT)
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line; a failure prints what went wrong and what to do, never a traceback."""
    from slipway.cli.errors import KNOWN, record, say  # noqa: PLC0415 - they pull in every part: not for `--help`

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on where it stopped", err=True)
        code = EXIT_INTERRUPTED
    except KNOWN as error:
        say(error)
        code = EXIT_FAILED
    except Exception as error:  # noqa: BLE001 - whatever it is, a user gets a sentence and the file with the rest
        click.secho(f"error: {type(error).__name__}: {error}", fg="red", err=True)
        click.echo(f"This is a fault of Slipway; what happened stands in {record()}: please report it.", err=True)
        code = EXIT_FAILED
    sys.exit(code if isinstance(code, int) else 0)
