"""A tiny module set of our own, built by the real Go without a network."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slipway.toolchain import cache as cache_module
from slipway.toolchain.builder import Toolchain
from slipway.toolchain.events import Event
from slipway.toolchain.modules import Binary, ModuleSet

# Prints (to standard error) without a package: nothing but Go's run time needs to be compiled.
MAIN = """package main

var version = "unset"

func main() { println("hello", version) }
"""


@dataclass
class World:
    """A cache, a folder of module sets, and what was told."""

    root: Path
    go_cache: Path
    events: list[Event] = field(default_factory=list)
    sets: dict[str, ModuleSet] = field(default_factory=dict)

    def add(self, name: str, *, main: str = MAIN, **more) -> ModuleSet:
        """A set that builds one program of its own name."""
        folder = self.modules / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go.mod").write_text(f"module example.test/{name}\n\ngo 1.24.0\n")
        (folder / "go.sum").write_text("")
        (folder / "main.go").write_text(main)
        given = {"estimate": 1.0, "version": "v1", "stamps": {"main.version": "1.2.3"}, **more}
        self.sets[name] = ModuleSet(name=name, binaries=(Binary(name, ".", name),), **given)
        return self.sets[name]

    @property
    def modules(self) -> Path:
        return self.root / "modules"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def environment(self) -> dict[str, str]:
        """Offline: nothing may be downloaded."""
        return {**os.environ, "GOPROXY": "off", "GOFLAGS": "", "GOCACHE": str(self.go_cache)}

    def toolchain(self) -> Toolchain:
        """A toolchain as a new run would make it."""
        return Toolchain(
            self.cache,
            self.events.append,
            sets=self.sets,
            modules_root=self.modules,
            environment=self.environment(),
        )

    def told(self, *kinds) -> list[tuple[str, str]]:
        """The events of some kinds, as (kind, what)."""
        return [(event.kind.value, event.what) for event in self.events if event.kind in kinds]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """No test survives a power cut; waiting for the disk would only make them slow on a busy machine."""
    monkeypatch.setattr(cache_module, "flush", lambda _folder: None)


@pytest.fixture(scope="session")
def go_cache(tmp_path_factory) -> Path:
    """Go's build cache of the whole test run: the standard library is compiled once; the user's cache is let alone."""
    return tmp_path_factory.mktemp("go-build")


@pytest.fixture
def world(tmp_path, go_cache) -> World:
    made = World(tmp_path, go_cache)
    made.add("tiny")
    return made
