"""The folder that goes on PATH for Pulumi: the CLI, the Python language host, and the two scripts it starts."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NAME: Final = "pulumi-home"

#: The programs of the folder, each of a set of the same name.
NEEDS: Final = ("pulumi", "pulumi-language-python")

#: The module that carries the scripts; the `pulumi` set's go.mod names its version.
SCRIPTS_MODULE: Final = "github.com/pulumi/pulumi/sdk/v3"

#: Path in that module -> file name. They have no run bit there: module zips keep none.
SCRIPTS: Final[Mapping[str, str]] = {
    "python/cmd/pulumi-language-python-exec": "pulumi-language-python-exec",
    "python/dist/pulumi-resource-pulumi-python": "pulumi-resource-pulumi-python",
}


def assemble(folder: Path, programs: Mapping[str, Path], scripts: Path) -> None:
    """Fills the folder.

    Args:
        folder: Empty, on the file system of the programs (they are hard links: no second copy of 150 MB).
        programs: Name -> path, for each of `NEEDS`.
        scripts: The unpacked folder of `SCRIPTS_MODULE`.
    """
    for name in NEEDS:
        os.link(programs[name], folder / name)
    for source, name in SCRIPTS.items():
        shutil.copyfile(scripts / source, folder / name)
        (folder / name).chmod(0o755)
