"""Runs buildah with a storage of its own, and reads what it makes."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from slipway.toolchain.processes import Children, Command, CommandFailedError, run

_DRIVERS: Final = ("overlay", "vfs")

#: Made at the epoch, so that the same input gives the same bytes.
_TIMESTAMP: Final = "--timestamp=0"


def manifest_digest(layout: Path) -> str:
    """The digest of the one image of an OCI layout.

    Raises:
        ValueError: There is not exactly one.
    """
    manifests = json.loads((layout / "index.json").read_text(encoding="utf-8"))["manifests"]
    if len(manifests) != 1:
        raise ValueError(f"{layout} holds {len(manifests)} images instead of one")
    return str(manifests[0]["digest"])


class Buildah:
    """buildah over a storage that is not shared with anybody.

    The storage is scratch space: everything in it can be made again from the cache's OCI layouts.

    Args:
        root: Folder of the storage.
        log: File that receives the output.
        on_line: Called with each line of output.
        children: Where running programs are registered.
    """

    def __init__(self, root: Path, log: Path, on_line: Callable[[str], None], children: Children | None = None) -> None:
        self._root = root
        self._log = log
        self._on_line = on_line
        self._children = children
        self._log.write_text("", encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        # chroot isolation needs no container runtime and no cgroups.
        return {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": self.driver, "LC_ALL": "C"}

    @property
    def driver(self) -> str:
        """The storage driver: overlay where kernel and file system allow it, else vfs (slower, always works)."""
        chosen = self._root / "driver"
        if not chosen.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            chosen.write_text(next(filter(self._works, _DRIVERS), _DRIVERS[-1]), encoding="ascii")
        return chosen.read_text(encoding="ascii")

    def _works(self, driver: str) -> bool:
        probe = self._root / "probe"
        base = ("buildah", "--root", str(probe / "root"), "--runroot", str(probe / "run"), "--storage-driver", driver)
        try:
            container = run(Command((*base, "from", "scratch"))).splitlines()[-1]
            run(Command((*base, "mount", container)))
            run(Command((*base, "umount", container)))
        except CommandFailedError:
            return False
        finally:
            shutil.rmtree(probe, ignore_errors=True)
        return True

    def _buildah(self, *arguments: str, folder: Path | None = None) -> str:
        command = (
            "buildah",
            "--root",
            str(self._root / "storage"),
            "--runroot",
            str(self._root / "run"),
            "--storage-driver",
            self.driver,
            *arguments,
        )
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line)
            self._on_line(line)

        part = self._log.with_suffix(".part")
        try:
            run(Command(command, folder, self._environment(), part), keep, self._children)
        finally:
            with self._log.open("a", encoding="utf-8") as whole:
                whole.write(part.read_text(encoding="utf-8", errors="replace") if part.exists() else "")
            part.unlink(missing_ok=True)
        return "\n".join(lines)

    def clean(self) -> None:
        """Removes the containers that a killed run left."""
        self._buildah("rm", "--all")

    def build(
        self,
        context: Path,
        reference: str,
        *,
        mounts: Mapping[Path, str],
        arguments: Mapping[str, str] | None = None,
        target: str = "",
        secrets: Sequence[str] = (),
    ) -> None:
        """Builds ``context/Containerfile``.

        Args:
            context: The build's context.
            reference: Name in the storage.
            mounts: Folder here -> path in the build.
            arguments: Build arguments.
            target: Stage to build; the last one by default.
            secrets: ``id=...,src=...`` files that single steps may mount.
        """
        self._buildah(
            "bud",
            "--format=oci",
            "--layers=false",
            "--pull-never",
            _TIMESTAMP,
            *(f"--volume={folder}:{path}:rw" for folder, path in mounts.items()),
            *(f"--build-arg={name}={value}" for name, value in (arguments or {}).items()),
            *([f"--target={target}"] if target else []),
            *(f"--secret={secret}" for secret in secrets),
            "--tag",
            reference,
            "--file",
            str(context / "Containerfile"),
            str(context),
        )

    def build_file(self, context: Path, file: Path, reference: str, trust: Sequence[str]) -> None:
        """Builds a Dockerfile, pulling what it starts from.

        Args:
            context: The build's context.
            file: The Dockerfile.
            reference: Name in the storage.
            trust: Arguments that say which authority is trusted.
        """
        words = ("bud", "--format=oci", "--layers=false", *trust, "--tag", reference, "--file", str(file), str(context))
        self._buildah(*words)

    def push(self, reference: str, target: str, digest: Path, trust: Sequence[str]) -> None:
        """Pushes an image of the storage.

        Args:
            reference: Name in the storage.
            target: `host[:port]/path` in a registry.
            digest: File that receives the digest.
            trust: Arguments that say which authority is trusted.
        """
        self._buildah("push", "--quiet", *trust, f"--digestfile={digest}", reference, f"docker://{target}")

    def has(self, reference: str) -> bool:
        """Whether the storage holds an image."""
        try:
            self._buildah("inspect", "--type=image", "--format={{.FromImageID}}", reference)
        except CommandFailedError:
            return False
        return True

    def load(self, layout: Path, reference: str) -> None:
        """Brings an image from an OCI layout into the storage."""
        # Relative: buildah names the image after the path, and most absolute paths are no valid image names.
        pulled = self._buildah("pull", "--quiet", f"oci:{layout.name}:image", folder=layout.parent).splitlines()[-1]
        self._buildah("tag", pulled, reference)
        self.forget(f"localhost/{layout.name}")

    def save(self, reference: str, layout: Path) -> str:
        """Writes an image of the storage as an OCI layout; returns its digest."""
        self._buildah("push", "--quiet", "--format=oci", reference, f"oci:{layout}:image")
        return manifest_digest(layout)

    def forget(self, reference: str) -> None:
        """Removes an image from the storage."""
        self._buildah("rmi", reference)


@contextmanager
def certificates(ca: Path | None, option: str = "--cert-dir") -> Generator[tuple[str, ...]]:
    """Arguments that make buildah or skopeo trust an authority: they take a folder with ``*.crt``, not a file."""
    if ca is None:
        yield ()
        return
    if ca.is_dir():
        yield (f"{option}={ca}",)
        return
    with tempfile.TemporaryDirectory(prefix="slipway-ca-") as folder:
        shutil.copyfile(ca, Path(folder) / "ca.crt")
        yield (f"{option}={folder}",)


def push(layout: Path, digest: str, registry: str, repository: str, ca: Path | None) -> None:
    """Copies an image from an OCI layout to a registry over TLS, byte for byte, under its digest.

    Args:
        layout: The layout.
        digest: Its manifest's digest.
        registry: ``host:port``.
        repository: Name there.
        ca: Authority of the registry's certificate, or a folder with ``ca.crt``, ``client.cert``, ``client.key``;
            None trusts what this machine trusts.

    Raises:
        CommandFailedError: The registry cannot be reached or refuses.
    """
    with certificates(ca, "--dest-cert-dir") as trust:
        run(
            Command(
                (
                    "skopeo",
                    "copy",
                    "--insecure-policy",  # no signature is asked for: the source is our own cache, the target a digest
                    "--preserve-digests",
                    *trust,
                    f"oci:{layout}:image",
                    f"docker://{registry}/{repository}@{digest}",
                )
            )
        )


def fetch(image: str, layout: Path, ca: Path | None) -> None:
    """Copies an image from a registry over TLS, byte for byte, into a new OCI layout.

    Args:
        image: ``host[:port]/path@sha256:...``.
        layout: Where to.
        ca: As for `push`.

    Raises:
        CommandFailedError: The registry cannot be reached or refuses, or the image is not in OCI's form.
    """
    with certificates(ca, "--src-cert-dir") as trust:
        run(
            Command(
                (
                    "skopeo",
                    "copy",
                    "--insecure-policy",  # no signature is asked for: the source is a digest
                    "--preserve-digests",
                    *trust,
                    f"docker://{image}",
                    f"oci:{layout}:image",
                )
            )
        )
