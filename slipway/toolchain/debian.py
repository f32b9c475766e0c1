"""Debian packages of this machine: installs what is missing, and says what for."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway.toolchain import locks
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.processes import Command, CommandFailedError, run

_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_LOCK: Final = Path("/run/lock/slipway-apt.lock")
_FORBIDDEN: Final = "#!/bin/sh\n# Written while packages are installed: nothing they bring is started.\nexit 101\n"


@dataclass(frozen=True)
class Package:
    """A Debian package by name, and what it is for (a phrase: "builds the images")."""

    name: str
    why: str


class PackagesError(ToolchainError):
    """Packages are missing and could not be installed; the text says which, why, and the command to run by hand."""


def missing(packages: Sequence[Package], *, query: str = "dpkg-query") -> list[Package]:
    """Those that are not installed, in order, each once.

    Raises:
        PackagesError: This is no Debian (there is no dpkg-query).
    """
    names = list(dict.fromkeys(package.name for package in packages))
    if not names:
        return []
    if shutil.which(query) is None:
        raise PackagesError(
            f"{query} not found: packages are installed on Debian and what derives from it only. "
            f"Install by the means of this system: {', '.join(names)}"
        )
    answer = subprocess.run(
        [query, "--show", "--showformat=${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,  # status 1 only says that it does not know one of them
        env={**os.environ, "LC_ALL": "C"},
    )
    there = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return list({it.name: it for it in reversed(packages) if it.name not in there}.values())[::-1]


class _NoStarts:
    """While this is entered, the maintainer scripts of packages start no service (Debian's policy-rc.d)."""

    def __init__(self, policy: Path) -> None:
        self._policy = policy
        self._ours = False

    def __enter__(self) -> None:
        if self._policy.exists():
            return  # this machine has a policy of its own; it is not ours to change
        with tempfile.NamedTemporaryFile("w", dir=self._policy.parent, prefix=".slipway", delete=False) as stream:
            stream.write(_FORBIDDEN)
        Path(stream.name).chmod(0o755)
        Path(stream.name).rename(self._policy)
        self._ours = True

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._policy.unlink(missing_ok=True)


def heal(policy: Path = _POLICY) -> None:
    """Removes the policy file of a run that was killed; a policy of somebody else stays."""
    if policy.exists() and policy.read_text(encoding="utf-8", errors="replace") == _FORBIDDEN:
        policy.unlink()


def install_command(names: Sequence[str], *, apt: str = "apt-get") -> tuple[str, ...]:
    """The command that installs packages without questions and without what is only recommended."""
    return (
        apt,
        "install",
        "--yes",
        "--no-install-recommends",
        "-o=Dpkg::Use-Pty=0",
        "-o=DPkg::Lock::Timeout=300",  # another apt may be at work: wait for it
        "-o=Dpkg::Options::=--force-confold",
        *names,
    )


def ensure(
    packages: Sequence[Package],
    tell: Callable[[str], None] = lambda _line: None,
    *,
    apt: str = "apt-get",
    query: str = "dpkg-query",
    policy: Path = _POLICY,
    lock: Path = _LOCK,
) -> list[Package]:
    """Installs the packages that are missing; does nothing (and needs no root) if none is.

    Args:
        packages: What is needed, with reasons.
        tell: Receives lines for people: what is installed and why, then what apt prints.
        apt: The apt-get to run.
        query: The dpkg-query to ask.
        policy: The file that keeps services from starting.
        lock: Held while apt runs, so that two runs do not disturb each other.

    Returns:
        What was installed.

    Raises:
        PackagesError: Not Debian, not root, or apt failed.
    """
    if not missing(packages, query=query):
        return []
    with locks.hold([lock], lambda holder: tell(f"waits for {holder}, which installs packages")):
        wanted = missing(packages, query=query)  # the run that was waited for may have installed them
        if not wanted:
            return []
        names = [package.name for package in wanted]
        if os.geteuid() != 0:
            listed = "\n".join(f"  {package.name}: {package.why}" for package in wanted)
            raise PackagesError(
                f"these Debian packages are missing, and installing them needs root:\n{listed}\n"
                f"Run this again as root, or first: sudo {' '.join(install_command(names))}"
            )
        for package in wanted:
            tell(f"installs {package.name}: {package.why}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        heal(policy)
        try:
            with _NoStarts(policy):
                run(Command((apt, "update", "-o=DPkg::Lock::Timeout=300"), environment=environment), tell)
                run(Command(install_command(names, apt=apt), environment=environment), tell)
        except CommandFailedError as error:
            raise PackagesError(
                f"the Debian packages {', '.join(names)} could not be installed: {error}\n"
                "Check that the package sources in /etc/apt are reachable, then run the same command again."
            ) from error
        return wanted
