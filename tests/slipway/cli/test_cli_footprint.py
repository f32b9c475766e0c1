"""`slipway footprint` prints what was counted."""

import json

from click.testing import CliRunner

from infra.footprint import Footprint, Total, Usage
from infra.footprint.live import Measured
from infra.profiles import ProfileName
from slipway.cli import footprint as cli_footprint

COUNTED = Footprint(
    ProfileName.HA,
    3,
    (Usage("redis", "StatefulSet/redis", 2, Total(250, 2**30, 2**31)), Usage("ingress", "a", 1, Total(5))),
)


def run(monkeypatch, *arguments):
    asked = []

    def count(settings, _service, _read, **others):
        asked.append((settings.profile, others))
        return COUNTED

    monkeypatch.setattr(cli_footprint.footprint, "footprint", count)
    return CliRunner().invoke(cli_footprint.command, arguments), asked


def test_a_profile_is_counted_and_printed(monkeypatch):
    result, asked = run(monkeypatch, "--profile", "ha", "--target", "existing", "--nodes", "5")
    assert result.exit_code == 0, result.output
    assert asked == [(ProfileName.HA, {"nodes": 5, "own_cluster": False})]
    lines = [line.split() for line in result.output.splitlines() if line.strip()]
    assert ["redis", "2", "0.500", "2.00", "4.00"] in lines
    assert ["total", "3", "0.505", "2.00", "4.00"] in lines


def test_the_same_as_json(monkeypatch):
    result, asked = run(monkeypatch, "--json")
    assert asked == [(ProfileName.SMALL, {"nodes": 3, "own_cluster": True})]
    found = json.loads(result.output)
    assert found["parts"]["redis"] == {"pods": 2, "cpu": 0.5, "memory": 2**31, "disk": 2**32}
    assert found["total"]["pods"] == 3


def test_what_a_cluster_uses_is_printed(monkeypatch):
    found = [Measured("data", 3, 1, Total(100, 2**30), Total(50, 2**29))]
    monkeypatch.setattr(cli_footprint, "gather", lambda *_: found)
    result = CliRunner().invoke(cli_footprint.command, ["--live"])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines() if line.strip()]
    assert ["data", "3", "1", "0.100", "0.050", "1.00", "0.50"] in lines
    result = CliRunner().invoke(cli_footprint.command, ["--live", "--json"])
    assert json.loads(result.output)["data"]["used"] == {"cpu": 0.05, "memory": 2**29}
