"""`slipway rollout`: what is asked of the client, what is shown, and the exit codes that pipelines read."""

import json
import os
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from slipway import cli
from slipway.cli import following, rollout
from slipway.rollout import resource
from slipway.rollout.api import Refused
from slipway.rollout.client import UsageError
from slipway.rollout.loop import Unavailable

IMAGE = "registry.test/app@sha256:" + "2" * 64
OLD = "registry.test/app@sha256:" + "1" * 64


def revision(image, number, colour):
    return {"hash": f"hash{number}", "image": image, "number": number, "colour": colour}


def state(phase, *, stable=OLD, candidate=None, **status):
    colours = {"stable": revision(stable, 1 if stable == OLD else 2, "blue")}
    if candidate:
        colours["candidate"] = revision(candidate, 2, "green")
    return resource.parse(
        {
            "metadata": {"name": "payload", "namespace": "dev", "uid": "u", "generation": 3, "resourceVersion": phase},
            "spec": {"service": "payload", "template": "payload", "image": IMAGE},
            "status": {"phase": phase, "observedGeneration": 3, **colours, **status},
        }
    )


PROMOTED = (state("Preflight", candidate=IMAGE), state("Shifting", candidate=IMAGE), state("Done", stable=IMAGE))
LINE = {
    "revision": "hash2",
    "image": IMAGE,
    "number": 2,
    "result": "rolled back: Aborted",
    "started": "2026-01-01T00:00:00Z",
    "finished": "2026-01-01T00:01:00Z",
}
REFUSED = {"revision": "hash2", "reason": "Aborted", "by": "ada", "at": "2026-01-01T00:01:00Z"}
BACK = (
    state("Analysing", candidate=IMAGE),
    state("RolledBack", history=[LINE], rejected=[REFUSED], reason="Aborted"),
)
PAUSED = (
    state("Analysing", candidate=IMAGE),
    state(
        "Paused", candidate=IMAGE, reason="Inconclusive", message="errors: 0 samples, 50 are needed", gate="resume-1"
    ),
)


class Cluster:
    """A client whose Rollout goes through given states, and an API without objects."""

    name = "payload"
    namespace = "dev"

    def __init__(self, states=PROMOTED, error=None):
        self.states = states
        self.error = error
        self.asked = []

    def _note(self, *asked):
        self.asked.append(asked)
        if self.error:
            raise self.error

    async def get(self, _path):
        return None

    async def status(self):
        return self.states[-1]

    async def start(self, image, *, attach, commit):
        self.commit = commit
        self._note("attach" if attach else "start", image)
        return self.states[0]

    async def approve(self, gate, *, reason):
        self._note("approve", gate, reason)
        return gate or "preview"

    async def abort(self, *, reason):
        self._note("abort", reason)
        return "hash2"

    async def rollback(self, *, reason):
        self._note("rollback", reason)
        return "hash2"

    async def follow(self, **_):
        for found in self.states:
            yield found


@pytest.fixture
def slipway(monkeypatch, tmp_path):
    """Run a command against a cluster; returns the result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").write_text("{}")

    def run(cluster, *arguments):
        where = []

        @asynccontextmanager
        async def attached(it):
            where.append(it)
            yield cluster, cluster

        monkeypatch.setattr(following, "attached", attached)
        result = CliRunner().invoke(cli.cli, ["rollout", *arguments, "--kubeconfig", str(tmp_path / "config")])
        assert [(it.namespace, it.name) for it in where] == [("dev", "payload")]
        return result

    return run


@pytest.mark.parametrize(("states", "code"), [(PROMOTED, 0), (BACK, 1), (PAUSED, 3)])
def test_waiting_tells_by_its_exit_code_how_it_ended(slipway, states, code):
    cluster = Cluster(states)
    result = slipway(cluster, "start", "--image", IMAGE, "--wait")
    assert result.exit_code == code, result.output
    assert cluster.asked == [("start", IMAGE)]


def test_a_pause_says_in_a_log_too_why_and_what_to_do(slipway):
    told = slipway(Cluster(PAUSED), "start", "--image", IMAGE, "--wait").stdout
    assert told.splitlines()[-2:] == [
        "Paused: errors: 0 samples, 50 are needed",
        "no verdict; if requests were too few, send more, then: slipway rollout approve --gate resume-1",
    ]


def test_a_rollout_that_ended_has_a_report(slipway):
    result = slipway(Cluster(), "start", "--image", IMAGE, "--wait")
    assert "report: build/reports/rollout-dev-payload.html" in result.stderr
    assert json.loads(Path("build/reports/rollout-dev-payload.json").read_text())["figures"]["image"] == IMAGE


def test_without_waiting_it_is_only_asked_for(slipway):
    result = slipway(Cluster(), "start", "--image", IMAGE)
    assert result.exit_code == 0
    assert "slipway rollout watch" in result.stdout
    assert not Path("build").exists()


def test_each_change_is_a_line_of_json(slipway):
    result = slipway(Cluster(), "watch", "--json")
    phases = [json.loads(line)["phase"] for line in result.stdout.splitlines()]
    assert phases == ["Preflight", "Shifting", "Done"]


def test_status_shows_one_state_and_ends(slipway):
    result = slipway(Cluster(BACK), "status", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["phase"] == "Analysing"


@pytest.mark.parametrize("name", ["abort", "rollback"])
def test_taking_back_waits_until_it_is_confirmed(slipway, name):
    cluster = Cluster(BACK)
    result = slipway(cluster, name, "--reason", "drill", "--wait")
    assert result.exit_code == 0, result.output
    assert cluster.asked == [(name, "drill")]
    assert "RolledBack" in result.stdout


def test_an_approval_is_handed_on(slipway):
    cluster = Cluster()
    assert slipway(cluster, "approve", "--gate", "step-1", "--reason", "fine").exit_code == 0
    assert cluster.asked == [("approve", "step-1", "fine")]


def test_history_lists_what_was_tried(slipway):
    result = slipway(Cluster(BACK), "history")
    assert "rolled back" in result.stdout
    assert "60" in result.stdout


@pytest.mark.parametrize(
    ("error", "code", "tells"),
    [
        (UsageError("nothing waits"), 2, "nothing waits"),
        (Unavailable("no route"), 4, "`slipway rollout watch` attaches again"),
        (Refused("you may not start"), 1, "you may not start"),
    ],
)
def test_what_went_wrong_is_told_apart(slipway, error, code, tells):
    result = slipway(Cluster(error=error), "start", "--image", IMAGE)
    assert result.exit_code == code
    assert tells in result.stderr


def test_without_an_embedded_cluster_a_kubeconfig_is_needed(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    result = CliRunner().invoke(cli.cli, ["rollout", "status", "--cluster", "nowhere"])
    assert "nowhere" in str(result.exception)


def test_a_pipeline_that_runs_again_attaches(slipway):
    cluster = Cluster(BACK)
    assert slipway(cluster, "start", "--image", IMAGE, "--attach", "--wait").exit_code == 1
    assert cluster.asked == [("attach", IMAGE)]


GOOD = (state("Done", stable=IMAGE, lastGoodImage=IMAGE, lastGoodDigest="sha256:" + "2" * 64),)


@pytest.mark.parametrize(
    ("expected", "code"), [((), 0), (("--expect", IMAGE), 0), (("--expect", OLD), 1), (("--expect", "app:1"), 2)]
)
def test_the_last_good_image_is_told_and_compared(slipway, expected, code):
    result = slipway(Cluster(GOOD), "last-good", *expected)
    assert result.exit_code == code, result.output
    assert (result.stdout.strip() == IMAGE) == (code != 2)


def test_before_the_first_promotion_no_version_is_good(slipway):
    result = slipway(Cluster((state("Pending"),)), "last-good")
    assert result.exit_code == 2
    assert "has been promoted yet" in result.stderr


def test_who_may_read_neither_templates_nor_prometheus_still_learns_how_it_ended(slipway):
    class Narrow(Cluster):
        async def get(self, path):
            self._note("get", path)
            raise Refused("this may not be read")

    cluster = Narrow()
    result = slipway(cluster, "start", "--image", IMAGE, "--wait")
    assert result.exit_code == 0, result.output
    assert [asked for asked, *_ in cluster.asked] == ["start", "get", "get"]
    assert Path("build/reports/rollout-dev-payload.json").exists()
    assert "this may not be read" in Path("build/reports/rollout-dev-payload.html").read_text()


def test_the_commit_is_looked_up_in_the_repository_here(slipway, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cluster = Cluster(PROMOTED)
    with pytest.raises(click.UsageError, match="knows no such commit"):
        rollout._commit("HEAD")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.test"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "a", "--date=2001-01-01T00:00:00Z"]):
        when = {**os.environ, "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
        subprocess.run(["git", *words], check=True, env=when)
    assert slipway(cluster, "start", "--image", IMAGE, "--commit", "HEAD").exit_code == 0
    assert cluster.commit.time == 1767323045
    assert len(cluster.commit.id) == 40
