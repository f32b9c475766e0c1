"""What a set is built from: its files and flags as the inputs of a cache key, and a folder to build it in."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.go import Go
from slipway.toolchain.manifest import hash_file
from slipway.toolchain.module_files import checked_file
from slipway.toolchain.modules import GeneratedFile, ModuleSet
from slipway.toolchain.patches import Patch
from slipway.toolchain.processes import Command, run

#: The machine that is built for. The lowest amd64: what is built here runs on every node.
TARGET: Final[Mapping[str, str]] = {"GOOS": "linux", "GOARCH": "amd64", "GOAMD64": "v1", "CGO_ENABLED": "0"}


class ModuleSetError(ToolchainError):
    """A set's folder lacks a file."""


def source_files(folder: Path) -> dict[str, str]:
    """The files that decide what is built: name -> sha256 (hex).

    Raises:
        ModuleSetError: ``go.mod`` or ``go.sum`` is missing.
    """
    found = {
        path.name: hash_file(path)
        for path in sorted(folder.iterdir())
        if path.name in {"go.mod", "go.sum"} or path.suffix == ".go"
    }
    for name in ("go.mod", "go.sum"):
        if name not in found:
            raise ModuleSetError(f"module set {folder.name}: {folder / name} is missing; a set without it pins nothing")
    return found


def key_inputs(module_set: ModuleSet, folder: Path, go_version: str) -> dict[str, Any]:
    """Everything that decides the programs of a set (JSON-able; the input of `manifest.key_of`)."""
    return {
        "set": module_set.name,
        "sources": source_files(folder),
        "go": go_version,
        "flags": list(module_set.flags()),
        "target": dict(TARGET),
        "programs": {binary.name: binary.package for binary in module_set.binaries},
        "generated": [[it.name, it.module, it.path, it.json_version] for it in module_set.generated],
        # Named only where there are any: a set without keeps the key that it had before there were patches.
        **({"patches": [[*astuple(it)] for it in module_set.patches]} if module_set.patches else {}),
    }


def environment(module_set: ModuleSet, go: Go, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of `go`: the caller's (proxies, certificates), with all that decides the result fixed."""
    nosumdb = ",".join(filter(None, [base.get("GONOSUMDB", ""), *module_set.nosumdb]))
    return {
        **base,
        **TARGET,
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",  # Go never fetches another Go
        "GOWORK": "off",
        "GOEXPERIMENT": "",
        "GONOSUMDB": nosumdb,
        "PATH": f"{go.path.parent}{os.pathsep}{base.get('PATH', '')}",
    }


def build_command(module_set: ModuleSet, go: Go, output: Path, processes: int) -> tuple[str, ...]:
    """The one ``go build`` of a set. ``-v`` names each package as it is compiled; that is what progress is made of."""
    return (
        str(go.path),
        "build",
        "-v",
        f"-p={processes}",
        *module_set.flags(),
        "-o",
        f"{output}{os.sep}",
        *(binary.package for binary in module_set.binaries),
    )


def module_folder(go: Go, folder: Path, module: str, env: Mapping[str, str]) -> Path:
    """The unpacked folder of a module, at the version that ``folder/go.mod`` names and ``folder/go.sum`` pins.

    Args:
        go: The Go to ask.
        folder: A copy of a set's folder (`stage`); Go may write there.
        module: Module path.
        env: See `environment`.

    Raises:
        CommandFailedError: It can be neither found nor downloaded, or does not match go.sum.
        ModuleSetError: go.sum does not pin it (Go itself would then add what it found).
    """
    pinned = (folder / "go.sum").read_text(encoding="utf-8").splitlines()
    answer = run(Command((str(go.path), "mod", "download", "-json", module), folder, env))
    # Go tells of downloads on standard error, which is merged in before the object.
    found = json.loads(answer[answer.index("{") :])
    line = f"{found['Path']} {found['Version']} {found['Sum']}"
    if line not in pinned:
        raise ModuleSetError(
            f"{module} is not pinned: {folder.name}'s go.sum lacks the line `{line}`; read it, then add it"
        )
    return Path(found["Dir"])


def write_generated(wanted: GeneratedFile, module: Path, folder: Path) -> None:
    """Writes a file of an unpacked module beside our main."""
    source = module / wanted.path
    if wanted.json_version is None:
        shutil.copyfile(source, folder / wanted.name)
        return
    content = json.loads(source.read_text(encoding="utf-8"))
    content["version"] = wanted.json_version
    (folder / wanted.name).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def apply(patch: Patch, module: Path) -> None:
    """Applies a patch to a copy of a module.

    Raises:
        ModuleFileError: The file is not the one that the patch was written for.
        ModuleSetError: What is wrong is not there exactly once.
    """
    text = checked_file(module, patch.path, patch.sha256).decode()
    for before, after in patch.changes:
        count = text.count(before)
        if count != 1:
            raise ModuleSetError(f"{patch.path} of {patch.module} has {before!r} {count} times; the patch is for one")
        text = text.replace(before, after)
    (module / patch.path).write_text(text, encoding="utf-8")


def stage(module_set: ModuleSet, folder: Path, target: Path, go: Go, env: Mapping[str, str]) -> None:
    """Copies a set's folder to where it is built, generates what its main embeds, and writes what is patched.

    The copy keeps the installed package as it was, even if Go or a generated file would write there.
    """
    target.mkdir()
    for name in source_files(folder):
        shutil.copyfile(folder / name, target / name)
    for wanted in module_set.generated:
        write_generated(wanted, module_folder(go, target, wanted.module, env), target)
    for module in dict.fromkeys(patch.module for patch in module_set.patches):
        copy = target / f"patched-{Path(module).name}"
        shutil.copytree(module_folder(go, target, module, env), copy, copy_function=shutil.copyfile)
        for patch in module_set.patches:
            if patch.module == module:
                apply(patch, copy)
        # Go builds the copy in its place, and what it has built says so (`go version -m`).
        with (target / "go.mod").open("a", encoding="utf-8") as file:
            file.write(f"\nreplace {module} => ./{copy.name}\n")
