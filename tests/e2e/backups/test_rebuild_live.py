"""A whole cluster is lost under writes and made anew from a store beside it, by the commands of docs/how-to/backups.md.

On a cluster of its own, also where another one is given for tests: it is destroyed.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.cli.rebuilt import Record

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

REPOSITORY = Path(__file__).resolve().parents[3]
NETWORK = "10.128.0.0/24"


@pytest.fixture(scope="module")
def served(cluster_by_name, tmp_path_factory):
    """The cluster, with its store and the words of `slipway up` that the store has printed."""
    it = cluster_by_name("rebuilt", tmp_path_factory.mktemp("state"))
    folder = tmp_path_factory.mktemp("store")
    it.slipway("down")
    command = [sys.executable, "-m", "slipway", "store", "serve", str(folder), "--cluster", it.name]
    with subprocess.Popen(
        [*command, "--network", NETWORK], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as serving:
        try:
            words = shlex.split(serving.stdout.readline())
            assert words[:2] == ["slipway", "up"]
            yield it, words[1:], folder
        finally:
            serving.terminate()
            it.slipway("down")


@pytest.fixture(scope="module")
def up(served):
    it, words, _ = served
    done = it.slipway(*words, "--set", "slipway-platform:logs", "off")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    return it


def archives(folder):
    return {path.name for path in (folder / "data" / "postgres").iterdir() if path.is_dir()}


def test_a_cluster_that_was_lost_comes_back_with_every_write_up_to_an_instant(up, served, monkeypatch):
    _, words, folder = served
    objects = words[words.index("--objects") + 1]
    before = time.monotonic()
    refused = up.slipway("drill", "rebuild", "--objects", objects)
    assert refused.returncode == 2
    assert "say --yes" in refused.stderr
    done = up.slipway("drill", "rebuild", "--objects", objects, "--yes")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    report = json.loads((REPOSITORY / "build" / "reports" / "drill-rebuild.json").read_text())
    assert 0 < report["figures"]["rto_seconds"] < time.monotonic() - before
    (postgres,) = up.kubectl.get("clusters.postgresql.cnpg.io", "postgres", "--namespace=data")
    (origin,) = postgres["spec"]["externalClusters"]
    assert origin["plugin"]["parameters"]["serverName"] == "postgres"
    own = postgres["spec"]["plugins"][0]["parameters"]["serverName"]
    assert own.startswith("postgres-")
    assert {"postgres", own} <= archives(folder)
    monkeypatch.setenv("SLIPWAY_STATE", str(up.state))
    assert Record(up.name).read() is None


def test_what_was_rebuilt_can_be_restored_in_its_turn(up):
    done = up.slipway("drill", "restore")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
