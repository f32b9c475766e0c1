"""Lays out the files of a recipe as a folder that is copied into the image."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from slipway.toolchain.images.recipe import Folder, Link, ModuleFiles, Program, Source, Text


def _below(root: Path, target: str) -> Path:
    if not target.startswith("/") or ".." in Path(target).parts:
        raise ValueError(f"{target!r} is not an absolute path inside an image")
    path = root / target.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy_module(it: ModuleFiles, module: Path, root: Path) -> None:
    for source, target in it.paths.items():
        path = _below(root, target)
        if (module / source).is_dir():
            shutil.copytree(module / source, path, copy_function=shutil.copyfile)
            for copied in [path, *path.rglob("*")]:
                copied.chmod(0o755 if copied.is_dir() else 0o644)  # a module cache is read-only
        else:
            shutil.copyfile(module / source, path)
            path.chmod(0o755 if target in it.executable else 0o644)


def lay_out(
    sources: Sequence[Source],
    root: Path,
    programs: Mapping[str, Path],
    module_folder: Callable[[ModuleFiles], Path],
) -> None:
    """Fills a folder with the files of a recipe, at their paths.

    Args:
        sources: What to lay out.
        root: The folder; made.
        programs: Program name -> path, for those that the sources name.
        module_folder: Gives the unpacked module of `ModuleFiles`.

    Raises:
        ValueError: A target is not an absolute path.
    """
    root.mkdir(parents=True)
    for source in sources:
        match source:
            case Program(name, target):
                shutil.copyfile(programs[name], _below(root, target))
                _below(root, target).chmod(0o755)
            case ModuleFiles():
                _copy_module(source, module_folder(source), root)
            case Text(target, content, mode):
                _below(root, target).write_text(content, encoding="utf-8")
                _below(root, target).chmod(mode)
            case Link(target, to):
                _below(root, target).symlink_to(to)
            case Folder(target, mode):
                _below(root, target).mkdir(exist_ok=True)
                _below(root, target).chmod(mode)
