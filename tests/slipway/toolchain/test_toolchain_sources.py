"""The environment and command of a build, and the folder for Pulumi."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.toolchain import pulumi_home
from slipway.toolchain.go import Go
from slipway.toolchain.manifest import key_of
from slipway.toolchain.modules import SETS
from slipway.toolchain.sources import ModuleSetError, build_command, environment, key_inputs, source_files

GO = Go(Path("/opt/go/bin/go"), "go1.26.8")
KUBERNETES = SETS["kubernetes"]


def test_what_the_user_set_for_go_does_not_change_the_result():
    env = environment(KUBERNETES, GO, {"GOFLAGS": "-mod=mod -tags=mine", "GOOS": "plan9", "CGO_ENABLED": "1"})
    assert env["GOFLAGS"] == "-mod=readonly"
    assert (env["GOOS"], env["CGO_ENABLED"], env["GOTOOLCHAIN"], env["GOWORK"]) == ("linux", "0", "local", "off")


def test_where_the_user_gets_modules_from_is_kept():
    env = environment(KUBERNETES, GO, {"GOPROXY": "https://proxy.test", "GONOSUMDB": "mine.test/*", "PATH": "/bin"})
    assert env["GOPROXY"] == "https://proxy.test"
    assert env["GONOSUMDB"] == "mine.test/*,sigs.k8s.io/*"
    assert env["PATH"] == "/opt/go/bin:/bin"


def test_one_command_builds_all_programs_of_a_set():
    command = build_command(KUBERNETES, GO, Path("/out"), 2)
    assert command[:4] == ("/opt/go/bin/go", "build", "-v", "-p=2")
    assert command[command.index("-o") + 1] == "/out/"
    assert "-tags=providerless" in command
    assert command[-1] == "k8s.io/kubernetes/cmd/kubectl"
    assert "-X=k8s.io/component-base/version.gitVersion=v1.34.4" in next(it for it in command if "ldflags" in it)


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_a_set_without_a_pin_is_refused(world, name):
    (world.modules / "tiny" / name).unlink()
    with pytest.raises(ModuleSetError, match=rf"module set tiny: .*{name} is missing"):
        source_files(world.modules / "tiny")


versions = st.from_regex(r"go1\.[0-9]{2}\.[0-9]", fullmatch=True)
sums = st.text("abc123+/=", min_size=1, max_size=20)
stamps = st.dictionaries(st.sampled_from(["main.version", "main.commit"]), st.text("v.0123", max_size=6))


@given(st.tuples(versions, sums, stamps), st.tuples(versions, sums, stamps))
def test_keys_differ_exactly_when_go_or_sums_or_flags_do(tmp_path_factory, one, other):
    def key(version, text, stamped):
        folder = tmp_path_factory.getbasetemp() / "keyed"
        folder.mkdir(exist_ok=True)
        (folder / "go.mod").write_text("module it\n")
        (folder / "go.sum").write_text(text)
        return key_of(key_inputs(replace(KUBERNETES, stamps=stamped), folder, version))

    assert (key(*one) == key(*other)) == (one == other)


def test_the_folder_for_pulumi_has_programs_and_scripts(tmp_path):
    programs = {}
    for name in pulumi_home.NEEDS:
        programs[name] = tmp_path / name
        programs[name].write_text(name)
    for path in pulumi_home.SCRIPTS:
        (tmp_path / "module" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "module" / path).write_text("#!/bin/sh")
        (tmp_path / "module" / path).chmod(0o444)
    home = tmp_path / "home"
    home.mkdir()
    pulumi_home.assemble(home, programs, tmp_path / "module")
    assert sorted(path.name for path in home.iterdir()) == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    ]
    assert (home / "pulumi").samefile(programs["pulumi"])
    assert (home / "pulumi-language-python-exec").stat().st_mode & 0o111
