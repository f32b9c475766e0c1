"""Files of upstream modules, from a module registry that is a folder on the disk."""

import hashlib
import subprocess
import zipfile
from dataclasses import replace

import pytest

from slipway.toolchain import builder as builder_module
from slipway.toolchain.builder import BuildError, UnknownNameError
from slipway.toolchain.go import installed
from slipway.toolchain.module_files import ModuleFileError, checked_file
from slipway.toolchain.modules import GeneratedFile, ModuleFile
from slipway.toolchain.patches import Patch
from slipway.toolchain.sources import ModuleSetError

NAME = "example.test/upstream"
RELEASE = "kind: Release\n"
SHA256 = hashlib.sha256(RELEASE.encode()).hexdigest()
UPSTREAM = 'package upstream\n\nfunc Answer() string { return "wrong" }\n'
PATCH = Patch(NAME, "upstream.go", hashlib.sha256(UPSTREAM.encode()).hexdigest(), (('"wrong"', '"right"'),), 116)
FILES = {"release.yaml": RELEASE, "schema.json": '{"name": "it", "version": "0"}', "upstream.go": UPSTREAM}
ASKS = 'package main\n\nimport "example.test/upstream"\n\nfunc main() { println(upstream.Answer()) }\n'
EMBEDS = """package main

import (
	_ "embed"

	_ "example.test/upstream"
)

//go:embed schema-embed.json
var schema string

func main() { println(schema) }
"""


@pytest.fixture
def upstream(world, monkeypatch):
    """The module set `tiny` requires a module that only a folder on the disk has."""
    place = world.root / "registry" / NAME / "@v"
    place.mkdir(parents=True)
    (place / "list").write_text("v1.0.0\n")
    (place / "v1.0.0.info").write_text('{"Version": "v1.0.0"}')
    (place / "v1.0.0.mod").write_text(f"module {NAME}\n")
    with zipfile.ZipFile(place / "v1.0.0.zip", "w") as archive:
        for path, content in {"go.mod": f"module {NAME}\n", **FILES}.items():
            archive.writestr(f"{NAME}@v1.0.0/{path}", content)
    monkeypatch.setenv("GOMODCACHE", str(world.root / "gomod"))
    monkeypatch.setenv("GOSUMDB", "off")
    folder = world.modules / "tiny"
    (folder / "go.mod").write_text(f"module example.test/tiny\n\ngo 1.24.0\n\nrequire {NAME} v1.0.0\n")
    go = installed()
    assert go is not None
    subprocess.run(
        [str(go.path), "mod", "download", NAME],
        cwd=folder,
        env={**world.environment(), "GOPROXY": f"file://{world.root}/registry", "GOFLAGS": "-mod=mod"},
        check=True,
        capture_output=True,
    )
    monkeypatch.setitem(builder_module.MODULE_FILES, ("tiny", "release.yaml"), ModuleFile(NAME, SHA256))
    monkeypatch.setitem(builder_module.MODULE_FILES, ("tiny", "missing.yaml"), ModuleFile(NAME, SHA256))
    return folder


@pytest.mark.usefixtures("upstream")
class TestModuleFile:
    def test_the_pinned_bytes_are_given(self, world):
        assert world.toolchain().module_file("tiny", "release.yaml") == RELEASE.encode()

    def test_other_bytes_are_refused(self, world):
        with pytest.raises(ModuleFileError, match=f"has sha256 {SHA256}, but {'0' * 64} is pinned"):
            world.toolchain().module_file("tiny", "release.yaml", "0" * 64)

    def test_a_second_time_it_comes_from_the_cache(self, world, monkeypatch):
        world.toolchain().module_file("tiny", "release.yaml")

        def no_go(_cache):
            raise AssertionError("Go was asked again")

        monkeypatch.setattr(builder_module, "ensure_go", no_go)
        assert world.toolchain().module_file("tiny", "release.yaml") == RELEASE.encode()

    def test_its_entry_can_be_carried(self, world, monkeypatch):
        monkeypatch.delitem(builder_module.MODULE_FILES, ("tiny", "missing.yaml"))
        (entry,) = world.toolchain().file_entries()
        assert (entry.files / "content").read_text() == RELEASE

    def test_a_file_that_is_not_in_the_module_is_told(self, world):
        with pytest.raises(ModuleFileError, match=r"no file missing\.yaml"):
            world.toolchain().module_file("tiny", "missing.yaml")

    def test_a_file_without_a_digest_is_refused(self, world):
        with pytest.raises(UnknownNameError, match=r"other\.yaml of module set tiny is not pinned"):
            world.toolchain().module_file("tiny", "other.yaml")

    def test_an_unknown_set_is_told(self, world):
        with pytest.raises(UnknownNameError, match="no module set tinny; there are: tiny"):
            world.toolchain().module_file("tinny", "release.yaml")


def test_a_module_that_go_sum_does_not_pin_is_refused(world, upstream):
    (upstream / "go.sum").write_text("")
    with pytest.raises(ModuleSetError, match="is not pinned"):
        world.toolchain().module_file("tiny", "release.yaml")


def said_by_tiny(world, upstream, **values):
    """What the program of the set says, built from the module of `upstream`."""
    kept = {name: (upstream / name).read_text() for name in ("go.mod", "go.sum")}
    world.add("tiny", **values)
    for name, text in kept.items():
        (upstream / name).write_text(text)
    program = world.toolchain().ensure(["tiny"])["tiny"]
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize(("patches", "said"), [((PATCH,), "right\n"), ((), "wrong\n")], ids=["patched", "as-it-is"])
def test_a_patch_changes_what_is_built_and_nothing_of_upstream(world, upstream, patches, said):
    assert said_by_tiny(world, upstream, main=ASKS, patches=patches) == said
    (unpacked,) = (world.root / "gomod").rglob("upstream.go")
    assert unpacked.read_text() == UPSTREAM


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"sha256": "0" * 64}, ModuleFileError, f"but {'0' * 64} is pinned"),
        ({"changes": (("else", "it"),)}, ModuleSetError, "'else' 0 times"),
    ],
)
def test_a_patch_for_another_file_does_not_build(world, upstream, change, error, told):
    with pytest.raises(error, match=told):
        said_by_tiny(world, upstream, main=ASKS, patches=(replace(PATCH, **change),))


def test_a_generated_file_is_embedded(world, upstream):
    wanted = GeneratedFile("schema-embed.json", NAME, "schema.json", "4.25.0")
    said = said_by_tiny(world, upstream, main=EMBEDS, generated=(wanted,))
    assert said == '{"name":"it","version":"4.25.0"}\n'
    assert not (upstream / "schema-embed.json").exists()


def test_a_module_other_than_pinned_does_not_build(world, upstream):
    text = (upstream / "go.sum").read_text()
    (upstream / "go.sum").write_text(text.replace("h1:", "h1:A"))
    (upstream / "main.go").write_text('package main\n\nimport _ "example.test/upstream"\n\nfunc main() {}\n')
    with pytest.raises(BuildError, match="checksum mismatch"):
        world.toolchain().ensure(["tiny"])


def test_checking_reads_the_file(tmp_path):
    (tmp_path / "release.yaml").write_text(RELEASE)
    assert checked_file(tmp_path, "release.yaml", SHA256) == RELEASE.encode()
