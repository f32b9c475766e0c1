"""Laying out the files of a recipe."""

import stat

import pytest

from slipway.toolchain.images.recipe import Archive, Folder, Link, ModuleFiles, Program, Text
from slipway.toolchain.images.tree import lay_out


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_kind_of_source(tmp_path):
    program = tmp_path / "coredns"
    program.write_bytes(b"ELF")
    module = tmp_path / "module"
    (module / "rootfs/etc/lua").mkdir(parents=True)
    (module / "rootfs/etc/lua/auth.lua").write_text("lua")
    (module / "rootfs/etc/lua/auth.lua").chmod(0o444)
    (module / "rootfs/start.sh").write_text("#!/bin/sh")
    (module / "rootfs/start.sh").chmod(0o444)
    (module / "rootfs/etc/lua").chmod(0o555)
    files = ModuleFiles(
        "haproxy-ingress",
        "example.test/upstream",
        {"rootfs/etc/lua": "/etc/lua", "rootfs/start.sh": "/start.sh"},
        executable=("/start.sh",),
    )
    root = tmp_path / "root"
    lay_out(
        (
            Program("coredns", "/usr/bin/coredns"),
            files,
            Text("/etc/passwd", "root:x:0:0\n"),
            Link("/manager", "usr/bin/coredns"),
            Folder("/data", 0o1777),
        ),
        root,
        {"coredns": program},
        lambda it: {"example.test/upstream": module}[it.module],
    )
    assert (root / "usr/bin/coredns").read_bytes() == b"ELF"
    assert mode(root / "usr/bin/coredns") == 0o755
    assert (mode(root / "etc/lua"), mode(root / "etc/lua/auth.lua")) == (0o755, 0o644)
    assert mode(root / "start.sh") == 0o755
    assert (root / "etc/passwd").read_text() == "root:x:0:0\n"
    assert str((root / "manager").readlink()) == "usr/bin/coredns"
    assert mode(root / "data") == 0o1777


def test_an_archives_files_can_be_run_where_it_says_so(tmp_path):
    unpacked = tmp_path / "unpacked"
    (unpacked / "bin").mkdir(parents=True)
    (unpacked / "bin/run").write_text("#!/bin/sh")
    (unpacked / "bin/env").write_text("A=1")
    archive = Archive("a:b:1:zip", "0" * 64, {"bin": "/opt/bin"}, executable=("/opt/bin/run",))
    lay_out((archive,), tmp_path / "root", {}, lambda _it: unpacked)
    assert (mode(tmp_path / "root/opt/bin/run"), mode(tmp_path / "root/opt/bin/env")) == (0o755, 0o644)


@pytest.mark.parametrize("target", ["etc/passwd", "/etc/../../passwd"])
def test_a_target_outside_the_image_is_refused(tmp_path, target):
    with pytest.raises(ValueError, match="is not an absolute path inside an image"):
        lay_out((Text(target, ""),), tmp_path / "root", {}, lambda _it: tmp_path)
