"""Makes the root file system of a Debian release, as a tar that is the same for the same packages."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slipway.toolchain.processes import Children, Command, run

#: What debootstrap leaves that belongs to the machine it ran on, or that every run writes anew. Relative to the root.
_TRACES: Final = (
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/cache/apt",
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf/templates.dat-old",
    "var/cache/debconf/config.dat-old",
    "var/lib/apt/lists",
    "var/log/apt",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
)
_EMPTY_FOLDERS: Final = ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log/apt")


def debootstrap_command(suite: str, root: Path, mirror: str) -> tuple[str, ...]:
    """The command that unpacks a minimal release.

    merged-usr is Debian's own default; minbase is what apt needs and no more.
    """
    return ("debootstrap", "--variant=minbase", "--merged-usr", suite, str(root), mirror)


def tar_command(root: Path, target: Path) -> tuple[str, ...]:
    """The command that packs it: sorted, without times, without the device nodes that each container gets anew."""
    return (
        "tar",
        "--create",
        f"--file={target}",
        f"--directory={root}",
        "--sort=name",
        "--mtime=@0",
        "--numeric-owner",
        "--exclude=./dev/*",
        "--exclude=./proc/*",
        "--exclude=./sys/*",
        ".",
    )


def without_days(shadow: str) -> str:
    """An /etc/shadow without the day of each password's last change: that is the day of the build."""
    return re.sub(r"^([^:\n]*:[^:\n]*):[0-9]*:", r"\1::", shadow, flags=re.MULTILINE)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_root_tar(
    suite: str,
    mirror: str,
    *,
    work: Path,
    target: Path,
    on_line: Callable[[str], None],
    children: Children | None,
) -> None:
    """Writes the root of a release.

    Args:
        suite: Code name of the release.
        mirror: Address of the archive.
        work: Scratch folder on a file system that allows device nodes; removed by the caller.
        target: The tar to write.
        on_line: Called with each line of output.
        children: Where running programs are registered.

    Raises:
        CommandFailedError: debootstrap or tar failed.
    """
    root = work / "root"
    run(Command(debootstrap_command(suite, root, mirror)), on_line, children)
    for path in _TRACES:
        _remove(root / path)
    copyrights = {"copyright", "copyright.gz"}
    for path in (root / "usr/share/doc").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in copyrights:
            path.unlink()  # the licences stay with what they license
    for name in ("passwd-", "group-", "shadow-", "gshadow-"):  # backups
        _remove(root / "etc" / name)
    shadow = root / "etc/shadow"
    if shadow.exists():
        shadow.write_text(without_days(shadow.read_text(encoding="utf-8")), encoding="utf-8")
    for path in _EMPTY_FOLDERS:
        (root / path).mkdir(parents=True, exist_ok=True)
    run(Command(tar_command(root, target)), on_line, children)
