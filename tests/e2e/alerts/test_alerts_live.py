"""Alerts on a real cluster: quiet at rest, blind to nothing, and an outage reaches whoever is on call in time."""

import base64
import json
import re
import time
from urllib.parse import quote
from uuid import uuid4

import pytest
import yaml
from e2e_options import EVERYTHING, PRESENT
from e2e_waiting import until

from dashboards.rules.groups import Severity
from infra.components.metrics import rules
from infra.naming import (
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    PROMETHEUS,
    PROMETHEUS_PORT,
    SERVICE,
    Environment,
    Namespace,
    Project,
)
from loadtests import k6
from slipway.cli.live import on_node, service_labels, stable_colour
from slipway.node.stock import Stock
from slipway.proof.faults import PauseContainer, Together
from slipway.proof.kube import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

OPTIONS = EVERYTHING
MONITORING = Namespace.MONITORING.value
#: Seconds from the fault to the receiver's hearing of it.
PAGE_WITHIN = 120
RATE = 20
#: Objective -> what fires when it is broken.
PROMISES = {"availability": "ServiceFailing", "latency": "ServiceSlow"}
#: Fires by itself, says so.
ALWAYS = {"Watchdog"}
RECEIVER = """
import http.server, json, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in told["alerts"]:
            print(json.dumps([time.time(), alert["status"], alert["labels"]]), flush=True)
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture
def ask(running):
    """Answers of Prometheus, through the API server."""

    def get(path):
        base = f"/api/v1/namespaces/{MONITORING}/services/{PROMETHEUS}:{PROMETHEUS_PORT}/proxy/api/v1"
        answer = json.loads(running.kubectl("get", "--raw", f"{base}/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    return get


def metric_names():
    """Every name of a series in the expressions of the rules, but for recorded ones."""
    texts = [rule.expression for groups in rules(PRESENT).values() for group in groups for rule in group.rules]
    bare = [re.sub(r"\{[^}]*\}|\b(by|on) \([^)]*\)", "", text) for text in texts]
    # What an open parenthesis follows is a function.
    words = {word for text in bare for word in re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*\b(?! *\()", text) if "_" in word}
    # What only services of another kind export (`dashboards.rules.services`).
    return {word for word in words - {"group_left"} if ":" not in word and not word.startswith("http_server_request")}


def test_every_metric_that_a_rule_reads_is_there(ask):
    known = set(ask("label/__name__/values"))
    assert metric_names() - known == set()


def test_at_rest_only_the_watchdog_barks(ask):
    """And, where requests have failed or were slow before, the promise that they broke: it looks back for days."""

    def names(expression, label):
        return {it["metric"].get(label, "") for it in ask(f"query?query={quote(expression)}")["result"]}

    def wrong():
        broken = names("slo:period_error_budget_remaining:ratio < 1", "slo")
        allowed = ALWAYS | {PROMISES[slo] for slo in broken}
        return names('ALERTS{alertstate="firing"}', "alertname") - allowed

    assert names('ALERTS{alertstate="firing"}', "alertname") >= ALWAYS
    assert until(120, lambda: not wrong() or None, every=5)


@pytest.fixture
def receiver(running):
    """A pod that writes down what it is told, and an Alertmanager that tells it; both as before afterwards."""
    image = running.outputs(Project.SERVICE)["image"]
    restricted = {
        "runAsNonRoot": True, "runAsUser": 10001, "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}, "readOnlyRootFilesystem": True,
    }  # fmt: skip
    container = {
        "name": "receiver", "image": image, "command": ["python", "-c", RECEIVER], "securityContext": restricted,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
    }  # fmt: skip
    overrides = json.dumps({"spec": {"containers": [container], "automountServiceAccountToken": False}})
    where = f"--namespace={MONITORING}"
    running.kubectl("run", "receiver", where, f"--image={image}", "--restart=Never", f"--overrides={overrides}")
    secret = json.loads(running.kubectl("get", "secret", "alertmanager-routing", where, "--output=json"))
    before = secret["data"]["alertmanager.yaml"]
    try:
        running.kubectl("wait", "pod/receiver", where, "--for=condition=Ready", "--timeout=60s")
        address = running.kubectl("get", "pod", "receiver", where, "--output=jsonpath={.status.podIP}").strip()
        routing = yaml.safe_load(base64.b64decode(before))
        # A name of its own: Alertmanager remembers for hours whom it has told of what.
        name = f"test-{uuid4().hex[:8]}"
        routing["route"]["receiver"] = name
        hook = {"url": f"http://{address}:8080/", "send_resolved": True}
        routing["receivers"].append({"name": name, "webhook_configs": [hook]})
        patch = {"stringData": {"alertmanager.yaml": yaml.safe_dump(routing)}}
        running.kubectl("patch", "secret", "alertmanager-routing", where, f"--patch={json.dumps(patch)}")
        base = f"/api/v1/namespaces/{MONITORING}/services/{ALERTMANAGER}:{ALERTMANAGER_PORT}/proxy/api/v2/status"
        # It tells its routing, with every address left out.
        until(240, lambda: f"name: {name}" in running.kubectl("get", "--raw", base), every=3)

        def told():
            return [json.loads(line) for line in running.kubectl("logs", "receiver", where).splitlines()]

        yield told
    finally:
        patch = {"data": {"alertmanager.yaml": before}}
        running.kubectl("patch", "secret", "alertmanager-routing", where, f"--patch={json.dumps(patch)}")
        running.kubectl("delete", "pod", "receiver", where, "--grace-period=1")


def test_the_watchdog_is_heard(receiver):
    assert until(180, lambda: [it for it in receiver() if it[2]["alertname"] == "Watchdog"], every=3)


def test_an_outage_pages_in_time_and_is_over_when_it_is_over(running, receiver, tmp_path):
    namespace = Environment.DEV.value
    spec = running.spec
    kube = Kubectl(Stock().binary("kubectl"), spec.home / "admin.kubeconfig")
    pods = kube.pods(namespace, service_labels(stable_colour(running.kubectl, namespace)))
    fault = Together(tuple(PauseContainer(on_node(spec), pod, "service") for pod in pods))

    def heard(status):
        return [it[0] for it in receiver() if it[1] == status and it[2].get("severity") == Severity.PAGE.value
                and it[2].get("service") == SERVICE]  # fmt: skip

    with k6.start(running.plan(tmp_path, RATE, 900)) as run:
        until(90, lambda: run.totals().requests > 20 * RATE)
        began = time.time()
        fault.inject()
        try:
            told = until(PAGE_WITHIN + 30, lambda: heard("firing"), every=2)
        finally:
            fault.heal()
        assert min(told) - began <= PAGE_WITHIN
        print(f"page after {min(told) - began:.0f} s")  # noqa: T201 -- the figure of docs/reference/performance.md
        assert until(900, lambda: heard("resolved"), every=5)
        run.finish()
