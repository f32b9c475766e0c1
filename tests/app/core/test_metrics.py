import re

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.test import Client

from app.core import metrics, requests

LABELS = {"colour": "green", "version": "9.9.9"}


def ours(app, settings, registry):
    requests.install(app, settings)
    metrics.install(app, settings, registry)


def the_librarys(app, _settings, registry):
    PrometheusMetrics(
        app, path=None, group_by="url_rule", buckets=metrics.BUCKETS, default_labels=LABELS, registry=registry
    )


def series(install, settings) -> list[str]:
    """Names, labels and counts after some requests; how long they took, and when, is never the same."""
    app, registry = Flask("series"), CollectorRegistry()
    install(app, settings.model_copy(update=LABELS), registry)

    @app.get("/things/<int:number>")
    def thing(number):
        return {"number": number}, 200 if number else 404

    @app.post("/broken")
    def broken():
        raise LookupError("broken")

    client = Client(app)
    for path in ("/things/1", "/things/2", "/things/0", "/nowhere"):
        client.get(path)
    client.head("/things/1")
    client.post("/things/1")
    client.post("/broken")
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if not re.search(r"_sum{|_created|_bucket{.*le=\"[0-9]", line))


def test_series_are_those_of_the_library(settings):
    found = series(ours, settings)
    assert found == series(the_librarys, settings)
    count = 'flask_http_request_duration_seconds_count{colour="green",method="GET",status="200",'
    assert f'{count}url_rule="/things/<int:number>",version="9.9.9"}} 2.0' in found


def test_probes_are_not_counted(settings):
    registry = CollectorRegistry()
    app = Flask("probed")
    ours(app, settings, registry)

    @app.get("/livez")
    def livez():
        return {"status": "alive"}

    assert Client(app).get("/livez").status_code == 200
    assert "status=" not in generate_latest(registry).decode()


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_breaks_on_its_way_counts_once(settings, times):
    registry, app, breaks = CollectorRegistry(), Flask("once"), [True] * times
    app.register_error_handler(LookupError, lambda _error: ({}, 500))
    requests.install(app, settings)

    @app.after_request
    def break_after_the_count(response):
        if breaks and breaks.pop():
            raise LookupError("on its way")
        return response

    metrics.install(app, settings, registry)

    @app.get("/")
    def index():
        return {}

    Client(app).get("/")
    counts = [
        line for line in generate_latest(registry).decode().splitlines() if line.startswith("flask_http_request_total{")
    ]
    assert [line.rpartition(" ")[2] for line in counts] == ["1.0"]
