"""`slipway doctor`: what this machine has and lacks."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
from rich.table import Table

from slipway.cli.requirements import EMBEDDED_PACKAGES, IMAGE_PACKAGES, TEST_PACKAGES
from slipway.cli.screen import console
from slipway.toolchain import debian

GIB = 1024**3
MEMORY_GIB = 8
DISK_GIB = 25
MINIMUM_PYTHON = (3, 11)


class Finding(NamedTuple):
    """One look at the machine; `mend` says what to do if it is not good."""

    what: str
    found: str
    good: bool
    mend: str


@click.command("doctor")
def command() -> None:
    """Say what this machine has and lacks for the embedded cluster; exits 1 if something would stop `slipway up`."""
    findings = list(look())
    table = Table(box=None, header_style="bold")
    for column in ("", "what", "found", "if not: "):
        table.add_column(column)
    for it in findings:
        table.add_row(
            "[green]ok[/green]" if it.good else "[red]no[/red]", it.what, it.found, "" if it.good else it.mend
        )
    console().print(table)
    sys.exit(0 if all(it.good for it in findings) else 1)


def look() -> Iterator[Finding]:
    """Every finding, in the order in which one would mend them."""
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("system", system, system == "Linux x86_64", "the embedded cluster runs on Linux x86-64 only")
    root = os.geteuid() == 0
    yield Finding("user", "root" if root else "not root", root, "run as root, or take a cluster by TARGET=existing")
    version = ".".join(str(part) for part in sys.version_info[:2])
    yield Finding("Python", version, sys.version_info >= MINIMUM_PYTHON, "install Python 3.11 or newer")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    yield Finding("memory", f"{memory:.0f} GiB", memory >= MEMORY_GIB, f"the small profile needs {MEMORY_GIB} GiB")
    disk = shutil.disk_usage("/").free / GIB
    yield Finding("free disk", f"{disk:.0f} GiB", disk >= DISK_GIB, f"programs and images take up to {DISK_GIB} GiB")
    mounts = [line.split()[2] for line in Path("/proc/self/mounts").read_text().splitlines()]
    yield Finding("control groups", "cgroup2" if "cgroup2" in mounts else "none", "cgroup2" in mounts, "mount cgroup2")
    for package in (*EMBEDDED_PACKAGES, *IMAGE_PACKAGES, *TEST_PACKAGES):
        absent = debian.missing([package])
        # `up` and `test` install these themselves: being absent is no fault, but good to know.
        yield Finding(package.name, "will be installed" if absent else "installed", True, package.why)
