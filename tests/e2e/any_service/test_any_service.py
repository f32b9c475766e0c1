"""A service that knows nothing of Slipway is rolled out, aborted and rolled back: any HTTP container can be."""

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_waiting import at_rest, rollout_state, until, until_rollout

from infra.naming import Environment, Project, live_host, preview_host
from loadtests import k6
from slipway.node.cluster import kubectl_of
from slipway.node.stock import Stock
from slipway.toolchain import Toolchain

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
CHART = HERE.parents[2] / "helm" / "service"
NAME, WHERE = "notes", Environment.STAGING
RATE = 30
TARGET = (f"--service={NAME}", f"--environment={WHERE.value}")
RIGHTS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "slipway-rollout", "namespace": WHERE.value},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "slipway-rollout-environment"},
    "subjects": [{"kind": "ServiceAccount", "name": "slipway-rollout", "namespace": "slipway-system"}],
}


class Bakery:
    """Images of the small service: the Python of the payload's image, one more file, other variables."""

    def __init__(self, running, folder):
        self._base = running.outputs(Project.SERVICE)["image"]
        self._spec = running.spec
        self._folder = folder

    def _buildah(self, *words):
        store = [f"--root={self._folder}/root", f"--runroot={self._folder}/run", "--storage-driver=vfs"]
        done = subprocess.run(["buildah", *store, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    def bake(self, version, **variables):
        """Push a version; returns its name by digest."""
        name, _, digest = self._base.partition("@")
        host, trust = self._spec.registry_address, f"--cert-dir={self._spec.home / 'registry-certificates'}"
        container = self._buildah("from", trust, f"docker://{host}/{name.partition('/')[2]}@{digest}")
        self._buildah("copy", container, str(HERE / "service.py"), "/srv/service.py")
        settings = [f"--env={key}={value}" for key, value in {"VERSION": version, **variables}.items()]
        self._buildah("config", '--entrypoint=["python", "/srv/service.py"]', "--cmd=", *settings, container)
        image = self._buildah("commit", "--format=oci", container, f"{NAME}:{version}")
        written = self._folder / f"{version}.digest"
        self._buildah("push", trust, f"--digestfile={written}", image, f"docker://{host}/slipway/{NAME}:{version}")
        return f"{name.partition('/')[0]}/slipway/{NAME}@{written.read_text().strip()}"


@pytest.fixture(scope="module")
def bakery(running, tmp_path_factory):
    return Bakery(running, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def images(bakery):
    return {
        "one": bakery.bake("one"),
        "two": bakery.bake("two"),
        "three": bakery.bake("three"),
        "bad": bakery.bake("bad", BAD="yes"),
    }


@pytest.fixture(scope="module")
def address(running):
    return running.outputs(Project.PLATFORM)["ingressAddress"]


@pytest.fixture(scope="module")
def notes(running, images, tmp_path_factory):
    """The service installed by the chart alone, with its first version serving."""
    domain = running.outputs(Project.PLATFORM)["domain"]
    values = {
        "ports": {"http": 8000, "metrics": 0},
        "ingress": {"host": live_host(WHERE, domain)},
        "preview": {"host": preview_host(WHERE, domain)},
        "probes": {"startup": {"path": "/live"}, "liveness": {"path": "/live"}, "readiness": {"path": "/ready"}},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
        "rollout": {
            "image": images["one"],
            "steps": [{"weight": 25}, {"weight": 50}],
            "metrics": [{"name": "errors", "source": "error-ratio", "maximum": 0.05, "interval": "5s", "count": 3,
                         "minSamples": 10}],
            "scaleDownDelay": "5s",
        },
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("chart")
    (folder / "values.json").write_text(json.dumps(values))
    helm = Toolchain().ensure(["helm"])["helm"]
    command = [helm, "template", NAME, CHART, f"--namespace={WHERE.value}", f"--values={folder / 'values.json'}"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    (folder / "rendered.yaml").write_text(rendered.stdout)
    (folder / "rights.json").write_text(json.dumps(RIGHTS))
    kubectl = kubectl_of(running.spec, Stock())
    kubectl("create", "namespace", WHERE.value)
    try:
        kubectl("apply", f"--filename={folder / 'rights.json'}")
        kubectl("apply", f"--namespace={WHERE.value}", f"--filename={folder / 'rendered.yaml'}")
        until_rollout(running, lambda it: it["phase"] == "Done" and it["stable"] == images["one"], target=TARGET)
        yield running
    finally:
        kubectl("delete", "namespace", WHERE.value, "--timeout=180s")


@pytest.fixture
def loaded(notes, tmp_path):
    """Reads of the service while the block runs, over TLS and kept connections."""

    def under(play):
        plan = notes.plan(tmp_path, RATE, 900)
        host = live_host(WHERE, notes.outputs(Project.PLATFORM)["domain"])
        plan = replace(plan, scenario="page", base_url=f"https://{host}", host=host, secrets={}, min_requests=1)
        with k6.start(plan) as run:
            until(60, lambda: run.totals().requests, lambda sent: sent >= RATE, every=0.2, what="load")
            play()
            time.sleep(plan.answer_limit)
            return run.finish()

    return under


def test_it_is_promoted_without_a_failed_request(notes, loaded, images):
    ended = []
    ask = ("rollout", "start", "--image", images["two"], "--wait", *TARGET)
    result = loaded(lambda: ended.append(notes.slipway(*ask)))
    assert ended[0].returncode == 0, f"{ended[0].stdout}\n{ended[0].stderr[-3000:]}"
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(notes, *TARGET)["stable"] == images["two"]
    assert set(result.colours) == {"blue", "green"}, "both versions answered"


def test_it_is_aborted_without_a_failed_request(notes, loaded, images):
    at_rest(notes, target=TARGET)

    def play():
        assert notes.slipway("rollout", "start", "--image", images["three"], *TARGET).returncode == 0
        until_rollout(notes, lambda it: it["phase"] == "Analysing", target=TARGET)
        done = notes.slipway("rollout", "abort", "--wait", *TARGET)
        assert done.returncode == 0, done.stderr

    result = loaded(play)
    assert (result.failed, result.reasons) == (0, ())
    assert rollout_state(notes, *TARGET)["stable"] == images["two"]


def test_a_bad_version_goes_back_by_itself_and_only_it_fails(notes, loaded, images):
    before = at_rest(notes, target=TARGET)
    ended = []
    ask = ("rollout", "start", "--image", images["bad"], "--wait", *TARGET)
    result = loaded(lambda: ended.append(notes.slipway(*ask)))
    assert ended[0].returncode == 1, f"{ended[0].stdout}\n{ended[0].stderr[-3000:]}"
    assert rollout_state(notes, *TARGET)["stable"] == before["stable"] == images["two"]
    harmed = {colour: answered.failed for colour, answered in result.colours.items() if answered.failed}
    assert len(harmed) == 1, harmed
    assert sum(harmed.values()) == result.failed > 0


CHECK = ("--port=8000", "--live=/live", "--ready=/ready", "--slow-path=/slow")


def test_the_contract_is_kept(running, images):
    done = running.slipway("check-service", images["one"], *CHECK)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "ok   4 ends what it has begun: 200" in done.stdout


def test_a_service_that_does_not_stop_breaks_it(running, bakery):
    done = running.slipway("check-service", bakery.bake("stubborn", STUBBORN="yes"), *CHECK)
    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    assert "no   4 exits 0 after SIGTERM: 137" in done.stdout


def test_the_payload_keeps_it(running):
    image = running.outputs(Project.SERVICE)["image"]
    extra = ("--like=payload", "--path=/version", "--migration=python -m app.migrate")
    done = running.slipway("check-service", image, *extra)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "optional: migration command, check: 0 (nothing to do)" in done.stdout
    assert "optional: /metrics: 200" in done.stdout


def test_no_pod_of_a_check_is_left(running):
    pods = running.kubectl.get("pods", f"--namespace={Environment.DEV.value}", "--selector=slipway.dev/check")
    assert [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]] == []
