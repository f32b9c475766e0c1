import json
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner

from slipway.cli import trace

ID = "0af7651916cd43dd8448eb211c80319c"


def span(identifier, parent, name, start, duration, **tags):
    return {
        "spanID": identifier,
        "processID": "p1",
        "operationName": name,
        "startTime": 1_700_000_000_000_000 + start,
        "duration": duration,
        "references": [{"refType": "CHILD_OF", "spanID": parent}] if parent else [],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


ANSWER = {
    "data": [
        {
            "traceID": ID,
            "processes": {"p1": {"serviceName": "payload"}},
            "spans": [
                span("b", "a", "SELECT users", 200, 500, **{"db.system": "postgresql"}),
                span("a", "", "GET /v1/users/{id}", 0, 1500, **{"http.response.status_code": 200}),
            ],
        }
    ]
}


@pytest.fixture
def jaeger(monkeypatch):
    """Answers one after the other, the last one for ever."""
    answers = []

    def answer(request):
        assert request.url.path == f"/api/traces/{ID}"
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @contextmanager
    def query(_tools, _cluster):
        with httpx.Client(transport=httpx.MockTransport(answer), base_url="https://jaeger.test") as client:
            yield client

    monkeypatch.setattr(trace, "query", query)
    monkeypatch.setattr(trace, "_LOOK", 0.0)
    return answers


def run(*arguments):
    return CliRunner().invoke(trace.command, arguments, env={"COLUMNS": "160"})


def test_spans_are_drawn_as_a_tree_with_their_times(jaeger):
    jaeger.append(httpx.Response(200, json=ANSWER))
    done = run(ID)
    assert done.exit_code == 0, done.output
    first, second = (line for line in done.stdout.splitlines() if line.strip().startswith("payload"))
    assert "payload  GET /v1/users/{id}" in first
    assert "1.5 ms" in first
    assert "payload    SELECT users" in second
    assert "0.5 ms" in second
    assert "db.system=postgresql" in second


def test_a_trace_that_is_on_its_way_is_waited_for(jaeger):
    jaeger += [httpx.Response(404, json={"data": None}), httpx.Response(200, json=ANSWER)]
    done = run(ID, "--wait", "5", "--json")
    assert json.loads(done.stdout) == ANSWER


def test_a_trace_that_is_not_there_is_said(jaeger):
    jaeger.append(httpx.Response(404, json={"data": None}))
    done = run(ID)
    assert done.exit_code == 1
    assert "it was not sampled, is on its way" in done.stderr


def test_a_jaeger_that_refuses_is_no_missing_trace(jaeger):
    jaeger.append(httpx.Response(503, text="no store"))
    done = run(ID)
    assert done.exit_code == 1
    assert "Jaeger refuses with 503: no store" in done.stderr


@pytest.mark.parametrize("text", ["", "12", ID.upper(), ID + "0", "../services"])
def test_what_is_no_trace_is_refused(text):
    done = run(text)
    assert done.exit_code == 2
    assert "it has 32 hexadecimal digits" in done.stderr
