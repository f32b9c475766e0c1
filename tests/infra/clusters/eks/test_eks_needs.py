"""What a machine must have for the target `eks`: told before anything is made, with how to get it."""

from importlib import metadata

import pytest

from infra.clusters.eks import needs
from infra.engine import EngineError, Place

VERSION = metadata.version("pulumi-aws")


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Place(tmp_path / "pulumi", tmp_path / "state")


def test_a_machine_without_anything_is_told_both(place):
    with pytest.raises(EngineError) as raised:
        needs.check(place)
    assert f"pulumi plugin install resource aws v{VERSION}" in str(raised.value)
    assert "AWS's command line, `aws`, on PATH" in str(raised.value)
    assert "Nothing was changed" in str(raised.value)


def test_a_plug_in_of_another_version_is_none(place, tmp_path):
    program(tmp_path / "bin" / "aws")
    program(tmp_path / "state" / "home" / "plugins" / "resource-aws-v7.0.0" / "pulumi-resource-aws")
    with pytest.raises(EngineError, match=f"plug-in aws v{VERSION}") as raised:
        needs.check(place)
    assert "command line" not in str(raised.value)


@pytest.mark.parametrize("where", [f"state/home/plugins/resource-aws-v{VERSION}", "bin"])
def test_a_machine_that_has_both_is_told_nothing(place, tmp_path, where):
    program(tmp_path / "bin" / "aws")
    program(tmp_path / where / "pulumi-resource-aws")
    needs.check(place)
