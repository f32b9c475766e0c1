"""Traces on a real cluster: one identifier leads from a request to its spans and its log lines."""

import json
import secrets
import ssl
import time

import httpx
import pytest

from dashboards.grafana.boards import TRACES
from dashboards.live import drawn
from infra.naming import JAEGER, Environment, Namespace, Project, live_host
from slipway.cli.measuring import prometheus_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

OPTIONS = ("--set", "slipway-platform:traces", "managed")
FOUND_WITHIN = "60"
DRAWN_WITHIN = 180


@pytest.fixture
def ask(running, tmp_path):
    """Asks the service as a user does, in a trace of one's own; the answer and the trace's identifier."""
    plan = running.plan(tmp_path, 1, 1)
    host = live_host(Environment.DEV, running.outputs(Project.PLATFORM)["domain"])

    def ask(method, path, *, sampled=True, **body):
        identifier = secrets.token_hex(16)
        headers = {
            "Host": host,
            "Authorization": f"Bearer {plan.secrets['SLIPWAY_TOKEN']}",
            "Idempotency-Key": identifier,
            "traceparent": f"00-{identifier}-{secrets.token_hex(8)}-{'01' if sampled else '00'}",
        }
        with httpx.Client(verify=ssl.create_default_context(cafile=str(plan.ca))) as client:
            answer = client.request(
                method,
                f"https://{plan.address}{path}",
                headers=headers,
                json=body or None,
                extensions={"sni_hostname": host},
                timeout=10,
            )
        return answer, identifier

    return ask


def spans(running, identifier, wait=FOUND_WITHIN):
    """Name -> span, of a trace that Jaeger has."""
    done = running.slipway("trace", identifier, "--wait", wait, "--json", seconds=180)
    assert done.returncode == 0, done.stderr
    return {it["operationName"]: it for it in json.loads(done.stdout)["data"][0]["spans"]}


def lines(running, identifier):
    done = running.slipway("logs", "--json", "--trace", identifier, seconds=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_jaeger_is_ready(running):
    pods = running.kubectl.get("pods", f"--namespace={Namespace.TRACES.value}")
    assert [it["metadata"]["labels"]["app.kubernetes.io/name"] for it in pods] == [JAEGER]


def test_a_read_is_found_by_its_identifier_in_jaeger_and_in_the_log(running, ask):
    answer, identifier = ask("GET", "/v1/users")
    assert answer.status_code == httpx.codes.OK
    found = spans(running, identifier)
    (request,) = [it for name, it in found.items() if name.startswith("GET ")]
    tags = {it["key"]: it["value"] for it in request["tags"]}
    assert tags["http.response.status_code"] == httpx.codes.OK
    assert "SELECT" in found
    printed = [it for it in lines(running, identifier) if it.get("url.path") == "/v1/users"]
    assert sorted(it["event.dataset"] for it in printed) == ["ingress.access", "payload.access"]
    assert {it["trace.id"] for it in printed} == {identifier}
    assert {it["http.request.id"] for it in printed} == {answer.headers["X-Request-ID"]}


def test_panels_of_spans_live(running, ask):
    _, identifier = ask("GET", "/v1/users")
    assert spans(running, identifier)
    deadline = time.monotonic() + DRAWN_WITHIN
    while True:
        end = time.time()
        found = drawn(TRACES, prometheus_of(running.kubectl), end - 600, end)
        dead = {it.panel.title: it.dead for it in found if it.dead}
        if not dead:
            break
        assert time.monotonic() < deadline, dead
        ask("GET", "/v1/users")
        time.sleep(5)


def test_a_trace_that_its_caller_does_not_want_is_not_kept(running, ask):
    _, unwanted = ask("GET", "/v1/users", sampled=False)
    _, wanted = ask("GET", "/v1/users")
    assert spans(running, wanted)
    done = running.slipway("trace", unwanted, seconds=120)
    assert done.returncode == 1
    assert "it was not sampled" in done.stderr


def test_what_a_person_sees_is_the_tree(running, ask):
    _, identifier = ask("GET", "/v1/users")
    done = running.slipway("trace", identifier, "--wait", FOUND_WITHIN, seconds=180)
    assert done.returncode == 0, done.stderr
    assert "GET /v1/users" in done.stdout
    assert "payload" in done.stdout
