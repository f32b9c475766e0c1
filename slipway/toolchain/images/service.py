"""Images from the repository's Dockerfile: a target each, its wheels pinned by uv.lock, on an image of our own."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slipway.toolchain.cache import default_cache_root
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.images.apt_sources import host_certificates
from slipway.toolchain.images.recipes import CONTROLLER, SERVICE
from slipway.toolchain.manifest import hash_file
from slipway.toolchain.processes import Command, CommandFailedError, run

#: Where pip's settings are mounted during the build; the base image has the folder.
PIP_FOLDER: Final = "/etc/xdg/pip"

_EXPORT: Final = ("export", "--frozen", "--no-emit-project", "--no-header", "--no-annotate", "--only-group")
#: Settings of this machine's pip that say where packages come from.
_PIP_SETTINGS: Final = ("index-url", "extra-index-url", "proxy", "trusted-host", "timeout", "retries")


@dataclass(frozen=True, slots=True)
class Target:
    """A target of the Dockerfile.

    Attributes:
        name: of the target, and of the image.
        group: dependency group of pyproject.toml that is installed.
        parts: files and folders of the repository that are copied.
    """

    name: str
    group: str
    parts: tuple[str, ...]


#: The payload, and nothing of the platform.
SERVICE_TARGET: Final = Target(SERVICE, "app", ("app",))
#: The rollout controller, and nothing of the rest of the tool.
CONTROLLER_TARGET: Final = Target(CONTROLLER, "rollout", ("slipway/__init__.py", "slipway/rollout"))
TARGETS: Final = {it.name: it for it in (SERVICE_TARGET, CONTROLLER_TARGET)}


class ServiceSourceError(ToolchainError):
    """The repository lacks what an image is made from."""


def find_uv() -> str:
    """The uv of this machine: the one that runs us, on PATH, or in the cache where the Makefile puts it.

    Raises:
        ServiceSourceError: There is none.
    """
    running = os.environ.get("UV", "")
    on_path = shutil.which("uv")
    cached = sorted(default_cache_root().parent.glob("uv-*/bin/uv"), reverse=True)
    beside = Path(sys.executable).with_name("uv")
    for candidate in (running, on_path, beside, *cached):
        if candidate and Path(candidate).is_file():
            return str(candidate)
    raise ServiceSourceError(
        "uv not found: it exports the locked packages of an image. `make setup-test` installs it; or put uv on PATH."
    )


def pip_settings(listed: str, environment: dict[str, str]) -> dict[str, str]:
    """Where pip on this machine gets packages from.

    Args:
        listed: What ``pip config list`` printed: ``scope.name='value'`` lines, Python literals.
        environment: ``PIP_*`` variables, which win.
    """
    found: dict[str, str] = {}
    for line in listed.splitlines():
        scoped, _, value = line.partition("=")
        name = scoped.rpartition(".")[2]
        if name in _PIP_SETTINGS:
            found[name] = str(ast.literal_eval(value))
    for name in _PIP_SETTINGS:
        value = environment.get(f"PIP_{name.upper().replace('-', '_')}", "")
        if value:
            found[name] = value
    return found


def pip_conf(settings: dict[str, str]) -> str:
    """A pip.conf with these settings, and this machine's authorities, as they are mounted in the build."""
    lines = [f"{name} = {' '.join(value.split())}" for name, value in sorted(settings.items())]
    return "\n".join(["[global]", f"cert = {PIP_FOLDER}/certificates.crt", *lines, ""])


def write_pip_folder(folder: Path) -> None:
    """Fills the folder that is mounted at `PIP_FOLDER`."""
    folder.mkdir()
    python = shutil.which("python3") or sys.executable
    try:
        listed = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
        text = listed.stdout if listed.returncode == 0 else ""
    except OSError:
        text = ""
    (folder / "pip.conf").write_text(pip_conf(pip_settings(text, dict(os.environ))), encoding="utf-8")
    certificates = host_certificates()
    (folder / "certificates.crt").write_bytes(certificates.read_bytes() if certificates else b"")


class ServiceSource:
    """What an image from the Dockerfile is made from.

    Args:
        repository: The checkout: ``Dockerfile``, the target's parts, ``pyproject.toml``, ``uv.lock``.
        target: Which of the Dockerfile's images.
    """

    def __init__(self, repository: Path, target: Target = SERVICE_TARGET) -> None:
        self._repository = repository
        self._target = target

    def _files(self) -> Iterator[Path]:
        yield self._repository / "Dockerfile"
        for part in self._target.parts:
            whole = self._repository / part
            for path in [whole] if whole.is_file() else sorted(whole.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield path

    def requirements(self) -> str:
        """The target's packages with versions and hashes, from the lock.

        Raises:
            ServiceSourceError: uv cannot read the lock, or there is no uv.
        """
        try:
            # Its progress goes to standard error, which is merged in: --quiet keeps it out.
            command = (find_uv(), "--quiet", "--offline", *_EXPORT, self._target.group)
            return run(Command(command, self._repository)) + "\n"
        except CommandFailedError as error:
            raise ServiceSourceError(
                f"the packages of the image `{self._target.name}` could not be read from uv.lock: {error}"
            ) from error

    def inputs(self) -> dict[str, Any]:
        """Everything of the repository that decides the image (JSON-able).

        Raises:
            ServiceSourceError: A part is missing.
        """
        for name in ("Dockerfile", *self._target.parts, "uv.lock"):
            if not (self._repository / name).exists():
                raise ServiceSourceError(
                    f"{self._repository / name} is missing: the image `{self._target.name}` is made from the "
                    "repository; run this from a checkout"
                )
        return {
            "files": {path.relative_to(self._repository).as_posix(): hash_file(path) for path in self._files()},
            "requirements": self.requirements(),
        }

    def write_context(self, context: Path) -> None:
        """Copies the build's context: nothing but what `inputs` names."""
        context.mkdir()
        for path in self._files():
            target = context / path.relative_to(self._repository)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (context / "Dockerfile").rename(context / "Containerfile")
        (context / "requirements.txt").write_text(self.requirements(), encoding="utf-8")
