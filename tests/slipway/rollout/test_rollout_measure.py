"""Asking for numbers: what counts as an answer, and that nothing is ever taken for zero."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlparse

import pytest

from infra import tls
from slipway.rollout.analysis import Measurement
from slipway.rollout.controller import Settings, prometheus_of
from slipway.rollout.haproxy import Tally
from slipway.rollout.measure import QUERIES, Prometheus, Recent, fill, of_job, single_number, window_of
from slipway.rollout.observation import JobView
from slipway.rollout.spec import Metric, PrometheusQuery, Source
from slipway.rollout.status import Colour, MetricState, Verdict

VALUES = {
    "namespace": "dev",
    "rollout": "payload",
    "service": "payload",
    "colour": "green",
    "stable": "blue",
    "revision": "bbb",
    "stable_revision": "aaa",
    "window": "30s",
}


def vector(*values: str) -> dict[str, object]:
    result = [{"metric": {}, "value": [0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        (vector("0.25"), 0.25),
        (vector("0"), 0.0),
        (vector(), None),
        (vector("NaN"), None),
        (vector("+Inf"), None),
        ({"status": "success", "data": {"resultType": "scalar", "result": [0, "3"]}}, 3.0),
    ],
)
def test_one_number_or_none(answer, number):
    assert single_number(answer) == number


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (vector("1", "2"), "2 series"),
        ({"status": "error", "error": "parse error"}, "parse error"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "matrix"),
    ],
)
def test_anything_else_is_an_error(answer, says):
    with pytest.raises(ValueError, match=says):
        single_number(answer)


def test_every_ready_made_query_can_be_filled():
    for pair in QUERIES.values():
        for query in pair:
            filled = fill(query, VALUES)
            assert 'colour="green"' in filled
            assert "[30s]" in filled
            assert "{{" not in filled


def test_an_unknown_name_in_a_query_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'color'; known are colour"):
        fill("sum(x{{{color}}})".replace("{{{", "{{").replace("}}}", "}}"), VALUES)


class Server(ThreadingHTTPServer):
    """Answers each query from a table; `None` breaks the connection."""

    daemon_threads = True
    answers: dict[str, dict[str, object]]
    asked: list[str]
    wanted: str
    """Header `Authorization` that is let in."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.headers.get("Authorization", "") != self.server.wanted:
            self.send_error(401)
            return
        query = parse_qs(urlparse(self.path).query).get("query", [""])[0]
        self.server.asked.append(query)
        body = json.dumps(self.server.answers.get(query, vector())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
        del format, args


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    found.answers, found.asked, found.wanted = {}, [], ""
    thread = Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def measure(server: Server | None, metric: Metric) -> Measurement:
    async def go() -> Measurement:
        port = server.server_address[1] if server is not None else 9
        prometheus = Prometheus(f"http://127.0.0.1:{port}", timeout=2)
        try:
            assert await prometheus.answers() is (server is not None)
            return await prometheus.measure(metric, VALUES)
        finally:
            await prometheus.close()

    return asyncio.run(go())


def test_a_query_is_asked_for_both_colours_and_for_its_samples(server):
    query = PrometheusQuery(query='errors{c="{{colour}}"}', samples='all{c="{{colour}}",r="{{revision}}"}')
    server.answers = {
        'errors{c="green"}': vector("0.02"),
        'errors{c="blue"}': vector("0.01"),
        'all{c="green",r="bbb"}': vector("812"),
    }
    metric = Metric(name="m", prometheus=query, maximum_delta=0.005)
    assert measure(server, metric) == Measurement(0.02, 0.01, 812.0)


def test_an_empty_answer_is_no_number_and_a_dead_server_is_an_error(server):
    metric = Metric(name="m", source=Source.ERROR_RATIO, maximum=0.01)
    assert measure(server, metric) == Measurement(None, None, None)
    assert "does not answer" in measure(None, metric).error


METRIC = Metric(name="m", prometheus=PrometheusQuery(query="one"), maximum=1)


def of_secret(settings: Settings) -> tuple[bool, Measurement]:
    async def go() -> tuple[bool, Measurement]:
        prometheus = prometheus_of(settings)
        assert prometheus is not None
        try:
            return await prometheus.answers(), await prometheus.measure(METRIC, VALUES)
        finally:
            await prometheus.close()

    return asyncio.run(go())


def test_a_prometheus_of_others_is_asked_as_its_secret_says(server, tmp_path):
    server.answers, server.wanted = {"one": vector("1")}, "Bearer second"
    file, token = tmp_path / "url", tmp_path / "token"
    file.write_text(f"http://127.0.0.1:{server.server_address[1]}/prometheus\n")
    settings = Settings(prometheus_url_file=file)
    answers, measured = of_secret(settings)
    assert not answers
    assert measured.error
    token.write_text("second\n")
    assert of_secret(settings) == (True, Measurement(1.0))


def test_a_token_that_is_replaced_needs_no_new_process(server, tmp_path):
    (tmp_path / "url").write_text(f"http://127.0.0.1:{server.server_address[1]}")
    token = tmp_path / "token"
    token.write_text("first")
    prometheus = prometheus_of(Settings(prometheus_url_file=tmp_path / "url"))
    assert prometheus is not None

    async def go() -> list[bool]:
        found: list[bool] = []
        for wanted, word in (("first", "first"), ("second", "first"), ("second", "second")):
            server.wanted = f"Bearer {wanted}"
            token.write_text(word)
            found.append(await prometheus.answers())
        await prometheus.close()
        return found

    assert asyncio.run(go()) == [True, False, True]


def test_its_certificate_must_be_of_the_authority_that_the_secret_names(server, tmp_path):
    now = datetime.now(UTC)
    authority, other = (tls.authority(name, days=2, now=now) for name in ("theirs", "another"))
    pair = tls.server(["127.0.0.1"], authority, days=1, now=now)
    for name, text in (("tls.crt", pair.certificate), ("tls.key", pair.private_key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (tmp_path / "url").write_text(f"https://127.0.0.1:{server.server_address[1]}")
    settings = Settings(prometheus_url_file=tmp_path / "url")
    for signer, trusted in ((authority, True), (other, False)):
        (tmp_path / "ca.crt").write_text(signer.certificate)
        answers, measured = of_secret(settings)
        assert answers is trusted
        assert bool(measured.error) is not trusted


def test_a_secret_without_an_address_says_which_key_to_mend(tmp_path):
    (tmp_path / "url").write_text("prometheus.observability.svc:9090")
    with pytest.raises(ValueError, match="mend the key `url` of its Secret"):
        prometheus_of(Settings(prometheus_url_file=tmp_path / "url"))
    assert prometheus_of(Settings()) is None


@pytest.mark.parametrize(
    ("interval", "inconclusive", "age", "window"),
    [(5, 0, 300.0, 15), (30, 0, 300.0, 30), (5, 1, 3.0, 15), (5, 1, 40.9, 40), (30, 2, 10.0, 30), (5, 1, 9e3, 600)],
)
def test_a_step_of_too_few_requests_is_judged_by_all_of_them(interval, inconclusive, age, window):
    metric = Metric(name="m", source=Source.ERROR_RATIO, maximum=0.01, interval=interval)
    assert window_of(metric, MetricState(name="m", next_at=0.0, inconclusive=inconclusive), age) == window


def test_the_controllers_own_counts_over_the_last_seconds():
    time = [0.0]
    recent = Recent(clock=lambda: time[0])
    metric = Metric(name="m", source=Source.ERROR_RATIO, maximum=0.01)
    latency = Metric(name="l", source=Source.MEAN_LATENCY, maximum=1)
    assert recent.measure(metric, Colour.GREEN, 10) == Measurement(None, None, 0.0)
    tally = Tally()
    for second in range(31):
        time[0] = float(second)
        tally.responses[Colour.GREEN, "2xx"] = 100 * second
        tally.responses[Colour.GREEN, "5xx"] = 100 * max(0, second - 25)
        tally.responses[Colour.GREEN, "error"] = 7
        tally.seconds[Colour.GREEN] = 5.0 * second
        recent.note(tally)
    found = recent.measure(metric, Colour.GREEN, 10)
    assert found.samples == 1500
    assert found.value == pytest.approx(500 / 1500)
    assert found.stable_value is None, "the other colour had no request: that is no zero"
    assert recent.measure(latency, Colour.GREEN, 10).value == pytest.approx(50 / 1500)
    query = Metric(name="q", prometheus=PrometheusQuery(query="x"), maximum=1)
    assert "needs Prometheus" in recent.measure(query, Colour.GREEN, 10).error


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (None, None),
        (JobView(None), None),
        (JobView(0), Measurement(conclusion=Verdict.PASS)),
        (JobView(99), Measurement(conclusion=Verdict.FAIL)),
        (JobView(-1, "deadline"), Measurement(error="the check ended with -1: deadline")),
    ],
)
def test_a_job_speaks_by_its_exit_code(view, expected):
    assert of_job(view) == expected
