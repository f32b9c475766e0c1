"""Clusters for tests: made by the command that users run, removed at the end, whatever happens.

To write a test, take a cluster that is up: `SLIPWAY_E2E_CLUSTER` names it, `SLIPWAY_STATE` is where its state lies. It
is left standing.

Tests of one file run in the order in which they stand (`-p no:randomly` in their marker's command), as each builds on
what the one before has left. Their helpers are plain modules beside this file.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.engine import Engine, Place
from infra.naming import Environment, Project, live_host, service_stack
from loadtests import k6, page
from loadtests.plan import LoadPlan
from slipway import reports
from slipway.cli import twin
from slipway.cli.stage import reloads
from slipway.node.cluster import kubectl_of, load
from slipway.node.stock import Stock
from slipway.toolchain import Toolchain

sys.path.insert(0, str(Path(__file__).parent))

REPOSITORY = Path(__file__).resolve().parents[2]
UP_SECONDS = 3600
LONGEST = 900  # seconds of load
#: Requests per second that are tried, for how long, and the p95 in ms up to which they are borne. Above it requests
#: wait for processors when nothing is wrong yet, and a fault is measured by the queue that it makes: where 50 took
#: 76 ms, half of the requests took 234 ms while pods were killed.
RATES, TRIED_SECONDS, BORNE = (50, 25), 20, 100.0


@dataclass(frozen=True)
class Running:
    """A cluster under test."""

    name: str
    state: Path

    def slipway(self, *arguments, seconds=UP_SECONDS):
        """Run the command line as a user would; returns the finished process."""
        return subprocess.run(
            [sys.executable, "-m", "slipway", *arguments],
            cwd=REPOSITORY,
            # Who runs the tests may look at another cluster meanwhile: theirs is named, not taken from there.
            env={
                **{name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
                "SLIPWAY_STATE": str(self.state),
                "SLIPWAY_CLUSTER": self.name,
            },
            timeout=seconds,
            check=False,
            capture_output=True,
            text=True,
        )

    @property
    def spec(self):
        return load(self.name)

    @property
    def kubectl(self):
        return kubectl_of(self.spec, Stock())

    @property
    def engine(self):
        place = Place(Toolchain().ensure(["pulumi-home"])["pulumi-home"], self.state / "pulumi")
        place.prepare(None)
        return Engine(place)

    def outputs(self, project, environment=Environment.DEV):
        """The outputs of a project's stack."""
        return self.engine.outputs(project, dict(self.stacks(environment))[project])

    def another_image(self):
        """The service's image once more under another digest."""
        return twin.push(self.spec, self.outputs(Project.SERVICE)["image"])

    def plan(self, tmp_path, rate, seconds, environment=Environment.DEV):
        """Load on the live host of the service, as users send it."""
        platform, service = self.outputs(Project.PLATFORM), self.outputs(Project.SERVICE, environment)
        (tmp_path / "ca.pem").write_text(platform["caCertificate"])
        host = live_host(environment, platform["domain"])
        return LoadPlan(
            scenario="crud",
            base_url=f"https://{host}",
            rate=rate,
            duration=seconds,
            host=host,
            ca=tmp_path / "ca.pem",
            address=platform["ingressAddress"],
            workdir=tmp_path,
            secrets={"SLIPWAY_TOKEN": service["accessKey"]},
        )

    def full_updates(self):
        """Reloads so far, of every HAProxy pod."""
        return dict(reloads(self.kubectl))

    def stacks(self, environment=Environment.DEV):
        """Every project with its stack, in the order of making."""
        return [
            (Project.CLUSTER, self.name),
            (Project.PLATFORM, self.name),
            (Project.SERVICE, service_stack(self.name, environment)),
        ]


@pytest.fixture(scope="session")
def cluster_by_name():
    """A cluster by its stacks' name and the folder of its state, for tests that bring it up by themselves."""
    return Running


@pytest.fixture(scope="module")
def running(request, tmp_path_factory):
    """A cluster of its own beside any other, with the service up; a module's `OPTIONS` are those of `slipway up`."""
    if given := os.environ.get("SLIPWAY_E2E_CLUSTER"):
        yield Running(given, Path(os.environ["SLIPWAY_STATE"]))
        return
    it = Running("smoke", tmp_path_factory.mktemp("state"))
    it.slipway("down")
    done = it.slipway("up", "--network", "10.124.0.0/24", *getattr(request.module, "OPTIONS", ()))
    if done.returncode != 0:
        it.slipway("down")
        pytest.fail(f"`slipway up` exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    yield it
    it.slipway("down")


@pytest.fixture(scope="module")
def rate(running, tmp_path_factory):
    """Requests per second that this machine bears well; bars count requests, so fewer a second only take longer.

    `SLIPWAY_E2E_RATE` says it without asking. A machine that bears none of `RATES` gets the last, and has to hold it.
    """
    if given := os.environ.get("SLIPWAY_E2E_RATE"):
        return int(given)
    folder = tmp_path_factory.mktemp("rate")
    for each in RATES[:-1]:
        result = k6.run(running.plan(folder, each, TRIED_SECONDS))
        if result.failed == 0 and result.p95 is not None and result.p95 <= BORNE:
            return each
    return RATES[-1]


@pytest.fixture
def loaded(running, tmp_path):
    """Load while something is played, and for as long afterwards as an answer may take; gives k6's judgement."""

    def under(name, play, *, rate):
        plan = running.plan(tmp_path, rate, LONGEST)
        with k6.start(plan) as run:
            play()
            time.sleep(plan.answer_limit)
            result = run.finish()
        reports.write(page.report(plan, result, name=f"e2e-{name}"), sections=page.sections(result))
        assert result.requests > 0
        return result

    return under
