"""State and authority in the file: what is encrypted stays so, and nothing that is there is written over."""

import json

import click
import pytest

from infra import engine
from infra.engine import Place
from infra.naming import Project
from slipway.cli import recovery

AUTHORITY = "pulumi-python:dynamic/slipway:GeneratedAuthority"
STATE = ".pulumi/stacks/slipway-platform/it.json"


class Known:
    """The engine, which knows the stacks of a cluster."""

    def __init__(self, *stacks):
        self.stacks = stacks

    def stacks_of(self, cluster):
        assert cluster == "it"
        return iter(self.stacks)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two machines: one with state, one without."""
    checkouts = {}

    def checkout(name):
        monkeypatch.setattr(engine, "ROOT", tmp_path / name)
        for project in ("cluster", "platform", "service"):
            (tmp_path / name / "projects" / project).mkdir(parents=True, exist_ok=True)
        checkouts[name] = tmp_path / name / "projects"
        return checkouts[name]

    here, there = (Place(tmp_path / "home", tmp_path / name) for name in ("here", "there"))
    (here.stacks / STATE).parent.mkdir(parents=True)
    (here.stacks / STATE).write_text('{"ciphertext": "v1:..."}')
    (here.stacks / ".pulumi/meta.yaml").write_text("version: 1\n")
    here.passphrase_file.write_text("passphrase")
    here.passphrase_file.chmod(0o600)
    (checkout("first") / "platform/Pulumi.it.yaml").write_text("encryptionsalt: v1:...\n")
    return here, there, checkout


STACKS = ((Project.PLATFORM, "it"), (Project.CLUSTER, "it"))


def test_state_passphrase_and_settings_reach_another_machine(places, tmp_path):
    here, there, checkout = places
    assert recovery.save_state(here, Known(*STACKS), "it", tmp_path / "saved")
    projects = checkout("second")
    recovery.restore_state(there, tmp_path / "saved")
    assert (there.stacks / STATE).read_text() == (here.stacks / STATE).read_text()
    assert (there.stacks / ".pulumi/meta.yaml").read_text() == "version: 1\n"
    assert there.passphrase_file.read_text() == "passphrase"
    assert there.passphrase_file.stat().st_mode & 0o777 == 0o600
    assert (projects / "platform/Pulumi.it.yaml").read_text() == "encryptionsalt: v1:...\n"
    recovery.restore_state(there, tmp_path / "saved")  # the same once more changes nothing


@pytest.mark.parametrize("what", ["passphrase", f"stacks/{STATE}"])
def test_another_state_that_is_there_is_kept(places, tmp_path, what):
    here, there, checkout = places
    recovery.save_state(here, Known(*STACKS), "it", tmp_path / "saved")
    checkout("second")
    (there.state / what).parent.mkdir(parents=True, exist_ok=True)
    (there.state / what).write_text("another")
    with pytest.raises(click.ClickException, match=f"{what.rpartition('/')[2]} is there and is another"):
        recovery.restore_state(there, tmp_path / "saved")
    assert (there.state / what).read_text() == "another"
    assert len([it for it in there.state.rglob("*") if it.is_file()]) == 1


def test_without_stacks_nothing_is_saved(places, tmp_path):
    assert not recovery.save_state(places[0], Known(), "it", tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_the_authority_becomes_files_that_a_setting_can_name(tmp_path):
    secret = {"4dabf18193072939515e22adb298388d": "1b47", "plaintext": json.dumps("KEY\nIN PEM\n")}
    resources = [
        {"type": AUTHORITY, "outputs": {"certificate": "CERTIFICATE", "private_key": secret}},
        {"type": "kubernetes:core/v1:Secret", "outputs": {}},
    ]
    assert recovery.save_authority(resources, tmp_path / "authority")
    assert (tmp_path / "authority/ca.crt").read_text() == "CERTIFICATE"
    assert (tmp_path / "authority/ca.key").read_text() == "KEY\nIN PEM\n"
    assert (tmp_path / "authority/ca.key").stat().st_mode & 0o777 == 0o600
    assert not recovery.save_authority(resources[1:], tmp_path / "none")
