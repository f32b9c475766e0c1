"""`slipway logs`: what is asked of Elasticsearch, and what a person sees. The real one: tests/e2e/logs."""

import json
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner

from slipway.cli import logs


def hit(name, message, level="info"):
    source = {
        "@timestamp": f"2026-11-21T10:00:0{name}Z",
        "message": message,
        "log.level": level,
        "kubernetes.namespace": "dev",
        "kubernetes.pod.name": "payload-blue-1",
        "http.response.status_code": 200.0,
    }
    return {"_id": name, "_source": source}


@pytest.fixture
def elastic(monkeypatch):
    """Answers one after the other, the last one for ever; keeps what it was asked."""
    asked, answers = [], []

    def answer(request):
        asked.append(json.loads(request.content))
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json={"hits": {"hits": found}})

    @contextmanager
    def store(cluster):
        asked.append(cluster)
        with httpx.Client(transport=httpx.MockTransport(answer), base_url="https://elastic.test") as client:
            yield client

    monkeypatch.setattr(logs, "store", store)
    monkeypatch.setattr(logs, "_LOOK", 0.0)
    return asked, answers


def run(*arguments):
    return CliRunner().invoke(logs.command, arguments)


def conditions(body):
    return body["query"]["bool"]["filter"][1:]


def test_lines_are_shown_oldest_first_with_what_matters(elastic):
    _, answers = elastic
    answers.append([hit("2", "second", "error"), hit("1", "first")])
    done = run("--cluster", "live")
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    assert first == "2026-11-21 10:00:01.000 info  dev/payload-blue-1 first http.response.status_code=200"
    assert "error dev/payload-blue-1 second" in second


def test_a_request_is_looked_for_in_every_namespace(elastic):
    asked, answers = elastic
    answers.append([hit("1", "first")])
    run("--cluster", "live", "--request", "a1")
    assert asked[0] == "live"
    assert conditions(asked[1]) == [{"term": {"http.request.id": "a1"}}]
    run()
    assert conditions(asked[3]) == [{"term": {"kubernetes.namespace": "dev"}}]


def test_json_has_every_field(elastic):
    _, answers = elastic
    answers.append([hit("1", "first")])
    told = json.loads(run("--json").stdout)
    assert told["http.response.status_code"] == 200
    assert told["kubernetes.pod.name"] == "payload-blue-1"


def test_nothing_found_says_where_else_to_look(elastic):
    _, answers = elastic
    answers.append([])
    done = run()
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no line matches" in done.stderr


def test_following_shows_each_line_once(elastic):
    """Each look finds again what the one before has found: lines of different nodes come in a different order."""
    _, answers = elastic
    answers += [
        [hit("1", "first")],
        [hit("2", "second"), hit("1", "first")],
        [hit("3", "third"), hit("2", "second"), hit("1", "first")],
        httpx.Response(503, text="gone"),
    ]
    done = run("--follow")
    assert [line.split()[4] for line in done.stdout.splitlines()] == ["first", "second", "third"]
    assert done.exit_code == 1
    assert "Elasticsearch refuses with 503: gone" in done.stderr


@pytest.mark.parametrize("text", ["", "15", "m", "-5m", "1w"])
def test_a_length_of_time_that_is_none_is_refused(text):
    done = run("--since", text)
    assert done.exit_code == 2
    assert "write a number and s, m, h or d, such as 15m" in done.stderr
