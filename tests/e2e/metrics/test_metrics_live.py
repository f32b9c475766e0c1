"""Prometheus on a real cluster: every target is up, and every rule gives numbers as soon as there are requests."""

import json
import operator
import time
from urllib.parse import quote

import pytest
from e2e_options import EVERYTHING, PRESENT
from e2e_waiting import until

from dashboards.rules import colours
from infra.components import cluster_scrapes
from infra.components.metrics import rules, targets
from infra.components.scrapes import JUDGED
from infra.handover import Capabilities
from infra.naming import PROMETHEUS, PROMETHEUS_PORT, SERVICE, Environment, Namespace
from loadtests import k6

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

OPTIONS = EVERYTHING
RATE, SECONDS = 50, 60
EMBEDDED = Capabilities(
    load_balancer=False, local_images=False, storage_class="", address_range="", shared_machine=True
)
#: Rules that record nothing for a service that exports no such histogram.
OTHER_KINDS = {"opentelemetry"}
#: Rules about deployments that nobody has made here; tests/e2e/dashboards asks for them after some.
DELIVERED = tuple(f"slipway:deployment_{it}:" for it in ("lead_seconds", "restore_seconds", "failures"))


@pytest.fixture
def ask(running):
    """Answers of the live Prometheus, through the API server."""

    def get(path):
        base = f"/api/v1/namespaces/{Namespace.MONITORING.value}/services/{PROMETHEUS}:{PROMETHEUS_PORT}/proxy/api/v1"
        answer = json.loads(running.kubectl("get", "--raw", f"{base}/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    return get


@pytest.fixture
def query(ask):
    def instant(expression):
        return [(it["metric"], float(it["value"][1])) for it in ask(f"query?query={quote(expression)}")["result"]]

    return instant


def test_every_target_is_there_and_up(ask):
    wanted = {endpoint.job for target in targets(EMBEDDED, PRESENT) for endpoint in target.endpoints}
    wanted |= {it["job_name"] for it in cluster_scrapes.cluster_scrapes()}

    def wrong():
        active = ask("targets?state=active")["activeTargets"]
        down = {f"{it['labels']['job']} {it['scrapeUrl']}: {it['lastError']}" for it in active if it["health"] != "up"}
        return down | (wanted - {it["labels"]["job"] for it in active})

    until(180, wrong, operator.not_)


def test_figures_of_the_machine_are_there_once(query):
    assert len(query("node_memory_MemTotal_bytes")) == 1


def test_each_pod_is_counted_by_its_own_node_alone(query):
    assert query("count(count by (node) (container_memory_working_set_bytes)) == 3")
    twice = "count by (namespace, pod) (count by (namespace, pod, node) (container_memory_working_set_bytes)) > 1"
    assert query(twice) == []


def test_every_rule_gives_numbers_under_a_little_load(running, query, ask, tmp_path):
    recorded = [rule for groups in rules(PRESENT).values() for group in groups for rule in group.recordings]
    here = [rule for rule in recorded if rule.labels.get("kind") not in OTHER_KINDS]
    expected = [rule for rule in here if not rule.record.startswith(DELIVERED)]

    def silent():
        missing = set()
        for rule in expected:
            labels = ", ".join(f'{name}="{value}"' for name, value in rule.labels.items())
            if not query(f"{rule.record}{{{labels}}}"):
                missing.add(f"{rule.record}{{{labels}}}")
        return missing

    with k6.start(running.plan(tmp_path, RATE, SECONDS)) as run:
        until(SECONDS, silent, operator.not_)
        assert run.wait().failed == 0
    unhealthy = [rule["name"] for group in ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    assert not unhealthy


def test_the_observers_count_every_request_that_haproxy_counts(running, query):
    def counted():
        """By both since they began; HAProxy begins anew with each reload, of which there is none under load."""
        own, its = "slipway_ingress_requests_total", 'haproxy_frontend_http_requests_total{proxy="_front_https"}'
        return [query(f"sum({name})")[0][1] for name in (own, its)]

    def at_rest():
        """The two are read in turn: what one of them has yet to tell of the last load is no part of this one."""
        found = counted()
        time.sleep(3 * JUDGED)
        return found if counted() == found else None

    before = until(60, at_rest)
    done = running.slipway("loadtest", "run", "crud", "--rate", str(RATE), "--seconds", str(SECONDS))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"

    def since():
        return [now - then for now, then in zip(counted(), before, strict=True)]

    own, its = until(30, since, lambda found: found[0] == found[1])
    assert own == its >= RATE * SECONDS * 0.99


def test_the_observers_tell_colours_apart(query):
    blue = colours.selector(namespace=Environment.DEV.value, service=SERVICE, colour="blue")
    ((_, counted),) = query(f'sum(slipway_ingress_requests_total{{{blue}, outcome="ok"}})')
    assert counted >= RATE * SECONDS * 0.99
    assert query(f"slipway:weight:share{{{blue}}}")[0][1] == 1


def test_kubectl_top_works(running):
    assert len(running.kubectl("top", "nodes", "--no-headers").splitlines()) == 3
    assert running.kubectl("top", "pods", f"--namespace={Namespace.INGRESS.value}", "--no-headers").splitlines()
