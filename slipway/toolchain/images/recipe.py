"""The forms of an image recipe. Values only; `recipes` is the table, `containerfile` renders one."""

from dataclasses import dataclass, field
from pathlib import Path

from slipway.toolchain.debian import Package

#: What `base` says for an image that starts empty.
SCRATCH = "scratch"


@dataclass(frozen=True)
class Program:
    """A program of the toolchain, copied in.

    Attributes:
        name: Its name in the table of module sets.
        target: Absolute path in the image.
    """

    name: str
    target: str


@dataclass(frozen=True)
class ModuleFiles:
    """Files of an upstream module, pinned by a set's go.sum; never copied into this repository.

    Attributes:
        module_set: The set whose go.mod names the version.
        module: Module path.
        paths: File or folder inside the module -> absolute path in the image.
        executable: Those of `paths` that get the run bit (module zips keep none).
    """

    module_set: str
    module: str
    paths: dict[str, str]
    executable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archive:
    """Files of a zip of the Maven repository, pinned by its bytes; never copied into this repository.

    Attributes:
        coordinates: ``group:artifact:version:packaging``.
        sha256: What the archive must hash to (hex).
        paths: File or folder inside it -> absolute path in the image.
        executable: Those of the files' absolute paths that get the run bit.
    """

    coordinates: str
    sha256: str
    paths: dict[str, str]
    executable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Installed:
    """A program of a Python distribution that this environment has by its lock, pinned by its bytes.

    Attributes:
        distribution: Its name.
        program: Name of the script.
        sha256: What the script must hash to (hex).
        target: Absolute path in the image.
    """

    distribution: str
    program: str
    sha256: str
    target: str


#: What is unpacked into a folder before files are taken from it.
Unpacked = ModuleFiles | Archive


@dataclass(frozen=True)
class Text:
    """A small file of ours: absolute path in the image, content, permission bits."""

    target: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link at an absolute path, to what it points at."""

    target: str
    to: str


@dataclass(frozen=True)
class Folder:
    """An empty folder: absolute path, permission bits."""

    target: str
    mode: int = 0o755


Source = Program | Installed | Unpacked | Text | Link | Folder


@dataclass(frozen=True)
class Step:
    """One shell command run in the image, and why."""

    command: str
    why: str


@dataclass(frozen=True)
class Recipe:
    """How one image is made.

    Attributes:
        name: Name in the registry (below ``slipway/``).
        base: ``scratch``, the name of a Debian base, or of another recipe.
        user: ``uid:gid`` that it runs as.
        root_reason: Why it runs as root; empty exactly if it does not.
        packages: Debian packages, with what each is for.
        before: Steps before the packages (users whose numbers matter).
        early: Files that must be there before the packages.
        sources: Files copied in after the packages.
        after: Steps after that.
        only: If given, the image holds nothing but these paths of what was made so far.
        environment: Variables.
        entrypoint: Entry point.
        command: Default arguments.
        workdir: Working folder.
        estimate: Seconds on two cores; only progress displays read it.
    """

    name: str
    base: str
    user: str
    root_reason: str = ""
    packages: tuple[Package, ...] = ()
    before: tuple[Step, ...] = ()
    early: tuple[Text, ...] = ()
    sources: tuple[Source, ...] = ()
    after: tuple[Step, ...] = ()
    only: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str])
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    workdir: str = "/"
    estimate: float = 10

    @property
    def programs(self) -> list[str]:
        """The programs of the toolchain that it needs."""
        return [source.name for source in self.sources if isinstance(source, Program)]


@dataclass(frozen=True)
class DebianBase:
    """A Debian root that images start from: one layer, shared by all of them.

    Attributes:
        name: Name that recipes use.
        suite: Code name of the release.
        why: What needs this release.
        estimate: Seconds on two cores; only progress displays read it.
    """

    name: str
    suite: str
    why: str
    estimate: float = 60


@dataclass(frozen=True)
class OciImage:
    """A built image.

    Attributes:
        name: Its recipe.
        layout: Folder with the image in OCI layout. Never write there.
        digest: ``sha256:...`` of its manifest.
        packages: Debian package -> version, for all that it holds (empty for images that start empty).
    """

    name: str
    layout: Path
    digest: str
    packages: dict[str, str]
