"""Which Prometheus a command asks, and over which way."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dashboards.live import PrometheusError
from slipway.cli.measuring import elsewhere, prometheus_of

ANSWER = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}}


class Kubectl:
    """A cluster whose controller has these volumes, and that answers whatever goes through the API server."""

    def __init__(self, volumes=(), secret=None):
        self.volumes, self.secret, self.raw = list(volumes), secret, []

    def __call__(self, *arguments):
        assert arguments[:2] == ("get", "--raw")
        self.raw.append(arguments[2])
        return json.dumps(ANSWER)

    def get(self, kind, *arguments):
        if kind == "secret":
            assert arguments == ("main-metrics", "--namespace", "slipway-system")
            return [{"data": {key: base64.b64encode(it.encode()).decode() for key, it in self.secret.items()}}]
        pod = {"spec": {"volumes": self.volumes}}
        return [{"metadata": {"name": "slipway-rollout"}, "spec": {"template": pod}}]


READER = {"name": "reader", "secret": {"secretName": "ingress-observer-reader"}}
EXTERNAL = {"name": "prometheus", "secret": {"secretName": "main-metrics"}}


def asked(kubectl):
    (series,) = prometheus_of(kubectl).series("up", 0, 10)
    assert series.values == ((1.0, 2.0),)
    return kubectl.raw[0].partition("/api/v1/query_range")[0]


def test_the_platforms_own_is_asked_through_the_api_server():
    assert asked(Kubectl([READER])) == "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://prometheus.observability.svc:9090", "observability/services/prometheus:9090/proxy"),
        ("http://mimir.o11y.svc.cluster.local/prometheus/\n", "o11y/services/mimir:80/proxy/prometheus"),
        ("https://prometheus.observability.svc", "observability/services/https:prometheus:443/proxy"),
    ],
)
def test_one_of_others_inside_the_cluster_is_asked_the_same_way(url, path):
    assert asked(Kubectl([READER, EXTERNAL], {"url": url})) == f"/api/v1/namespaces/{path}"


@pytest.fixture
def server():
    """A Prometheus that wants a token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.headers.get("Authorization") == "Bearer open"
            body = ANSWER if allowed and self.path.startswith("/base/api/v1/query_range") else {"status": "error"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_arguments):
            """Nothing is printed."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_address[1]}/base"
    found.shutdown()
    found.server_close()
    thread.join()


def test_one_outside_is_asked_from_here_with_its_token(server):
    kubectl = Kubectl([EXTERNAL], {"url": server, "token": "open\n"})
    assert len(prometheus_of(kubectl).series("up", 0, 10)) == 1
    assert kubectl.raw == []
    with pytest.raises(PrometheusError, match="refuses"):
        prometheus_of(Kubectl([EXTERNAL], {"url": server})).series("up", 0, 10)


def test_one_that_cannot_be_reached_is_named():
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:9 cannot be reached from here"):
        elsewhere(Kubectl(), {"url": "http://127.0.0.1:9"})("query")
