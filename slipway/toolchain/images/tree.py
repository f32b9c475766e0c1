"""Lays out the files of a recipe as a folder that is copied into the image."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from slipway.toolchain import distributions
from slipway.toolchain.images.recipe import (
    Archive,
    Folder,
    Installed,
    Link,
    ModuleFiles,
    Program,
    Source,
    Text,
    Unpacked,
)


def _below(root: Path, target: str) -> Path:
    if not target.startswith("/") or ".." in Path(target).parts:
        raise ValueError(f"{target!r} is not an absolute path inside an image")
    path = root / target.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy(it: Unpacked, folder: Path, root: Path) -> None:
    for source, target in it.paths.items():
        path = _below(root, target)
        if (folder / source).is_dir():
            shutil.copytree(folder / source, path, copy_function=shutil.copyfile)
            for copied in [path, *path.rglob("*")]:
                copied.chmod(0o755 if copied.is_dir() else 0o644)  # a module cache is read-only
        else:
            shutil.copyfile(folder / source, path)
            path.chmod(0o644)
    for target in it.executable:
        _below(root, target).chmod(0o755)


def lay_out(
    sources: Sequence[Source],
    root: Path,
    programs: Mapping[str, Path],
    unpacked: Callable[[Unpacked], Path],
) -> None:
    """Fills a folder with the files of a recipe, at their paths.

    Args:
        sources: What to lay out.
        root: The folder; made.
        programs: Program name -> path, for those that the sources name.
        unpacked: Gives the folder that an archive or a module was unpacked to.

    Raises:
        ValueError: A target is not an absolute path.
    """
    root.mkdir(parents=True)
    for source in sources:
        match source:
            case Program(name, target):
                shutil.copyfile(programs[name], _below(root, target))
                _below(root, target).chmod(0o755)
            case Installed(distribution, name, sha256, target):
                shutil.copyfile(distributions.program(distribution, name, sha256), _below(root, target))
                _below(root, target).chmod(0o755)
            case ModuleFiles() | Archive():
                _copy(source, unpacked(source), root)
            case Text(target, content, mode):
                _below(root, target).write_text(content, encoding="utf-8")
                _below(root, target).chmod(mode)
            case Link(target, to):
                _below(root, target).symlink_to(to)
            case Folder(target, mode):
                _below(root, target).mkdir(exist_ok=True)
                _below(root, target).chmod(mode)
