"""docs/how-to/first-canary.md on a cluster: what `slipway init` makes, its first version, its first canary."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_waiting import until

from infra.naming import Environment, Project, live_host, service_stack
from loadtests import k6

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SERVICE = Path(__file__).parents[1] / "any_service" / "service.py"
NAME, WHERE = "notes", Environment.STAGING
TARGET = (f"--service={NAME}", f"--environment={WHERE.value}")
RATE = 30


class Team:
    """A team's repository, and what they type in it."""

    def __init__(self, running, folder):
        self.running = running
        self.folder = folder
        self._environment = {
            **os.environ,
            "SLIPWAY_STATE": str(running.state),
            "SLIPWAY_CLUSTER": running.name,
        }

    def run(self, *words, where=""):
        done = subprocess.run(
            words, cwd=self.folder / where, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def slipway(self, *words):
        return self.run(sys.executable, "-m", "slipway", *words)

    def publish(self, version):
        """Build and push a version; returns its name as the nodes pull it."""
        base, _, digest = self.running.outputs(Project.SERVICE)["image"].partition("@")
        spec = self.running.spec
        nodes_know, _, path = base.partition("/")
        (self.folder / "service.py").write_text(SERVICE.read_text())
        (self.folder / "Dockerfile").write_text(
            f"FROM {spec.registry_address}/{path.partition(':')[0]}@{digest}\n"
            f"ENV VERSION={version}\nCOPY service.py /srv/service.py\n"
            'ENTRYPOINT ["python", "/srv/service.py"]\nCMD []\n'
        )
        trust = f"--ca={spec.home / 'registry-certificates'}"
        told = self.slipway("image", "publish", NAME, ".", f"--registry={spec.registry_address}/slipway", trust)
        return told.strip().replace(spec.registry_address, nodes_know, 1)

    def pulumi(self, *words):
        for line in self.slipway("env").splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            self._environment[key] = value.strip("'")
        return self.run("pulumi", *words, "--non-interactive", where="deploy")


@pytest.fixture(scope="module")
def team(running, tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    it = Team(running, folder)
    it.run("git", "init", "-q")
    tool = f"--tool=team/slipway@{'c' * 40}"
    it.slipway("init", NAME, f"--cluster={running.name}", tool, "--port=8000", "--live=/live", "--ready=/ready")
    # A canary of seconds; the scaffold's own looks take half a minute a step.
    path = folder / "deploy" / "values.yaml"
    path.write_text(path.read_text().replace("interval: 10s", "interval: 5s"))
    return it


@pytest.fixture(scope="module")
def served(team):
    """The first version, put there by the program that `init` wrote."""
    stack = service_stack(team.running.name, WHERE)
    image = team.publish("one")
    team.pulumi("stack", "select", "--create", stack)
    try:
        team.pulumi("config", "set", "image", image)
        team.pulumi("up", "--yes", "--skip-preview")
        yield team
    finally:
        team.pulumi("destroy", "--yes", "--skip-preview")
        team.pulumi("stack", "rm", "--yes", stack)


def state(team):
    return json.loads(team.slipway("rollout", "status", "--json", *TARGET))


def test_the_first_version_serves_and_a_second_up_changes_nothing(served):
    assert state(served)["phase"] == "Done"
    served.pulumi("up", "--yes", "--expect-no-changes")


def test_the_contract_is_kept(served):
    told = served.slipway(
        "check-service", state(served)["stable"], "--port=8000", "--live=/live", "--ready=/ready", "--slow-path=/slow"
    )
    assert "ok   4 ends what it has begun: 200" in told


def test_the_first_canary_fails_no_request(served, tmp_path):
    running, image = served.running, served.publish("two")
    host = live_host(WHERE, running.outputs(Project.PLATFORM)["domain"])
    plan = replace(
        running.plan(tmp_path, RATE, 900), scenario="page", base_url=f"https://{host}", host=host, secrets={},
        min_requests=1,
    )  # fmt: skip
    with k6.start(plan) as run:
        until(60, lambda: run.totals().requests, lambda sent: sent >= RATE, every=0.2, what="load")
        served.slipway("rollout", "start", "--image", image, "--wait", *TARGET)
        time.sleep(plan.answer_limit)
        result = run.finish()
    assert (result.failed, result.reasons) == (0, ())
    assert state(served)["stable"] == image
    assert set(result.colours) == {"blue", "green"}, "both versions answered"


def test_another_up_leaves_the_image_to_those_who_asked_for_it(served):
    before = state(served)["stable"]
    served.pulumi("up", "--yes", "--skip-preview")
    assert state(served)["stable"] == before
