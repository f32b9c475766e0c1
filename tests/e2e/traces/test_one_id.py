"""One identifier of a request that k6 sent: in HAProxy's line, the service's, the audit row and the trace."""

import ssl
from collections import Counter

import httpx
import pytest
from e2e_waiting import until

from infra.naming import JAEGER, JAEGER_QUERY_PORT, SERVICE, Environment, Namespace, Project, database
from loadtests import k6
from slipway.cli.forwarding import forwarded
from slipway.cli.logs import reader
from slipway.cli.stores import PostgresStore
from slipway.logs.query import SEARCH, flat

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

OPTIONS = ("--set", "slipway-platform:traces", "managed")
#: Of so many requests the service's usual share, one of twenty, is never none.
RATE, SECONDS = 20, 20
FOUND_WITHIN = 60


@pytest.fixture(scope="module")
def sent(running, tmp_path_factory):
    """A short load: its run, whose name begins the identifier of each request."""
    result = k6.run(running.plan(tmp_path_factory.mktemp("load"), RATE, SECONDS))
    assert (result.failed, result.requests) == (0, RATE * SECONDS)
    return result


@pytest.fixture(scope="module")
def lines(running, sent):
    """Lines of HAProxy and of the service about the load, those of its preparation included, once all have come."""

    def found(dataset):
        with reader(running.kubectl) as client:
            both = [{"prefix": {"http.request.id": f"{sent.run_id}-"}}, {"term": {"event.dataset": dataset}}]
            body = {"size": 10_000, "query": {"bool": {"filter": both}}}
            hits = client.post(SEARCH, json=body).raise_for_status().json()["hits"]["hits"]
        return [flat(hit["_source"]) for hit in hits]

    def all_of_them():
        return {name: found(name) for name in ("ingress.access", "payload.access")}

    return until(
        FOUND_WITHIN,
        all_of_them,
        lambda both: len(both["ingress.access"]) == len(both["payload.access"]) > sent.requests,
        every=3,
        what="a line of HAProxy and one of the service for each request",
    )


def test_each_request_has_one_line_of_haproxy_and_one_of_the_service(lines):
    for found in lines.values():
        assert set(Counter(it["http.request.id"] for it in found).values()) == {1}
    service = {it["http.request.id"]: it for it in lines["payload.access"]}
    for line in lines["ingress.access"]:
        same = service[line["http.request.id"]]
        assert line["kubernetes.namespace"] == Namespace.INGRESS.value
        for field in ("url.path", "http.request.method", "http.response.status_code"):
            assert line[field] == same[field]
        assert (line["labels.pod"], line["labels.colour"]) == (same["kubernetes.pod.name"], same["labels.colour"])
        assert line["event.duration"] > 0


def test_each_write_has_an_audit_row_by_its_identifier(running, sent, lines):
    text = "SELECT request_id FROM audit_log WHERE request_id LIKE :'run' || '-%'"
    rows = PostgresStore(running.kubectl).ask(database(Environment.DEV), text, run=sent.run_id).split()
    wrote = {
        it["http.request.id"]
        for it in lines["ingress.access"]
        if it["http.request.method"] != "GET" and it["http.response.status_code"] < 300
    }
    assert len(wrote) > sent.requests // 4
    assert set(rows) == wrote


def test_those_that_were_sampled_have_it_in_their_trace(running, sent, lines):
    trusted = ssl.create_default_context(cadata=running.outputs(Project.PLATFORM)["caCertificate"])
    kubectl = running.kubectl
    way = (str(kubectl.binary), f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={Namespace.TRACES.value}")
    traced = {it["http.request.id"]: it["trace.id"] for it in lines["payload.access"]}
    asked = {"service": SERVICE, "lookback": "1h", "limit": "1000", "start": int(sent.started.timestamp() * 1_000_000)}
    with (
        forwarded(way, f"service/{JAEGER}", JAEGER_QUERY_PORT, "https") as url,
        httpx.Client(base_url=url, verify=trusted, timeout=30) as client,
    ):

        def found():
            answer = client.get("/api/traces", params=asked).raise_for_status().json()["data"]
            tags = [(it["traceID"], tag) for it in answer for span in it["spans"] for tag in span["tags"]]
            return {
                tag["value"]: trace for trace, tag in tags if tag["key"] == "http.request.id" and tag["value"] in traced
            }

        kept = until(FOUND_WITHIN, found, every=3, what="a trace of the load")
    assert kept == {identifier: traced[identifier] for identifier in kept}
