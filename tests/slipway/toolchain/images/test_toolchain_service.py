"""What the images of the Dockerfile are made from."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.toolchain.images import service
from slipway.toolchain.images.service import (
    CONTROLLER_TARGET,
    TARGETS,
    ServiceSource,
    ServiceSourceError,
    find_uv,
    pip_conf,
    pip_settings,
)

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A checkout with a fake uv that exports one requirement."""
    folder = tmp_path / "checkout"
    (folder / "app/__pycache__").mkdir(parents=True)
    (folder / "app/serve.py").write_text("serve")
    (folder / "app/__pycache__/serve.pyc").write_text("compiled")
    (folder / "Dockerfile").write_text("FROM ${BASE} AS service\n")
    (folder / "uv.lock").write_text("flask==3.1 --hash=sha256:00")
    (folder / "README.md").write_text("notes")
    uv = tmp_path / "uv"
    uv.write_text('#!/bin/sh\ncase " $* " in *--frozen*--only-group*app*) cat uv.lock;; *) exit 2;; esac\n')
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))
    return folder


def test_the_inputs_are_the_service_its_recipe_and_its_packages(repository):
    inputs = ServiceSource(repository).inputs()
    assert sorted(inputs["files"]) == ["Dockerfile", "app/serve.py"]
    assert inputs["requirements"] == "flask==3.1 --hash=sha256:00\n"


@pytest.mark.parametrize(
    ("path", "changes"),
    [("app/serve.py", True), ("Dockerfile", True), ("uv.lock", True), ("README.md", False)],
)
def test_what_changes_the_image(repository, path, changes):
    before = ServiceSource(repository).inputs()
    (repository / path).write_text("another")
    assert (ServiceSource(repository).inputs() != before) == changes


def test_the_context_holds_nothing_else(repository, tmp_path):
    context = tmp_path / "context"
    ServiceSource(repository).write_context(context)
    found = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}
    assert found == {"Containerfile", "app/serve.py", "requirements.txt"}


@pytest.mark.parametrize("name", ["Dockerfile", "uv.lock"])
def test_a_part_that_is_missing_is_told(repository, name):
    (repository / name).unlink()
    with pytest.raises(ServiceSourceError, match=f"{name} is missing"):
        ServiceSource(repository).inputs()


def test_a_lock_that_cannot_be_exported_is_told(repository):
    (repository / "uv.lock").write_text("")
    uv = repository.parent / "uv"
    uv.write_text("#!/bin/sh\necho lock is older than pyproject\nexit 2\n")
    with pytest.raises(ServiceSourceError, match=r"(?s)uv\.lock.*lock is older"):
        ServiceSource(repository).requirements()


def test_without_uv_it_is_said_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("UV", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(service.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ServiceSourceError, match="make setup-test"):
        find_uv()


def test_uv_is_found_where_the_makefile_puts_it(monkeypatch, tmp_path):
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(service.sys, "executable", str(tmp_path / "python"))
    uv = tmp_path / "slipway/uv-1.2.3/bin/uv"
    uv.parent.mkdir(parents=True)
    uv.touch()
    assert find_uv() == str(uv)


LISTED = "global.cert='/etc/ca.crt'\nglobal.index-url='https://packages.test/simple'\n:env:.find-links='/wheels'\n"


def test_pip_takes_its_packages_from_where_this_machine_does():
    assert pip_settings(LISTED, {}) == {"index-url": "https://packages.test/simple"}
    assert pip_settings(LISTED, {"PIP_INDEX_URL": "https://other.test"}) == {"index-url": "https://other.test"}
    assert pip_settings("", {}) == {}


def test_the_settings_are_a_pip_conf():
    assert pip_conf({"timeout": "60", "extra-index-url": "https://a.test\nhttps://b.test"}) == (
        "[global]\n"
        "cert = /etc/xdg/pip/certificates.crt\n"
        "extra-index-url = https://a.test https://b.test\n"
        "timeout = 60\n"
    )


def test_the_mounted_folder_has_settings_and_authorities(tmp_path, monkeypatch):
    authorities = tmp_path / "ca.crt"
    authorities.write_text("authority")
    monkeypatch.setattr(service, "host_certificates", lambda: authorities)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho \"global.timeout='7'\"\n")
    python.chmod(0o755)
    monkeypatch.delenv("PIP_TIMEOUT", raising=False)
    service.write_pip_folder(tmp_path / "pip")
    assert "timeout = 7\n" in (tmp_path / "pip/pip.conf").read_text()
    assert (tmp_path / "pip/certificates.crt").read_text() == "authority"


def test_the_controllers_image_holds_its_own_room_and_no_other(tmp_path):
    files = {path.relative_to(REPOSITORY).as_posix() for path in ServiceSource(REPOSITORY, CONTROLLER_TARGET)._files()}
    assert {"Dockerfile", "slipway/__init__.py", "slipway/rollout/__main__.py"} <= files
    assert {path.rpartition("/")[0] for path in files} == {"", "slipway", "slipway/rollout"}
    # And that is enough: it starts from these files alone (and says how it is used).
    ServiceSource(REPOSITORY, CONTROLLER_TARGET).write_context(tmp_path / "context")
    done = subprocess.run(
        [sys.executable, "-m", "slipway.rollout", "--help"],
        cwd=tmp_path / "context",
        env={"PYTHONPATH": str(tmp_path / "context"), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--haproxy-namespace" in done.stdout


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_no_image_of_ours_has_pulumi(target):
    requirements = ServiceSource(REPOSITORY, target).requirements()
    names = set(re.findall(r"^([a-z0-9._-]+)==", requirements, re.MULTILINE))
    assert {"pydantic", "prometheus-client"} <= names
    assert not [name for name in names if "pulumi" in name]
    assert len(re.findall(r"--hash=sha256:", requirements)) >= len(names)
    assert ("flask" in names) == (target.name == "service")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_is_a_stage_of_the_dockerfile_without_root(target):
    text = (REPOSITORY / "Dockerfile").read_text()
    stage = text.partition(f" AS {target.name}\n")[2].partition("\nFROM ")[0]
    assert "USER 10001:10001" in stage
    for copied in re.findall(r"^COPY (?!--from)(\S+)", stage, re.MULTILINE):
        assert any(part == copied or part.startswith(f"{copied}/") for part in target.parts), copied
