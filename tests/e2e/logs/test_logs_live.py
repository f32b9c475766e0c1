"""Logs on a real cluster: what a request printed is found by its id, and no line is lost whatever is killed."""

import json
import re
import ssl
import time
from uuid import uuid4

import httpx
import pytest
from e2e_waiting import until

from infra.naming import (
    ELASTICSEARCH,
    LOG_COLLECTOR,
    LOG_INDEX,
    LOG_KEEPER,
    Environment,
    Namespace,
    Project,
    live_host,
)
from slipway.cli.live import on_node
from slipway.cli.logs import reader
from slipway.logs.keeper import template
from slipway.logs.query import SEARCH
from slipway.node.stock import Stock
from slipway.proof.faults import KillContainer, KillProgram, PauseContainer
from slipway.proof.kube import Kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

DEV, LOGS = Environment.DEV.value, Namespace.LOGS.value
LINES = 100_000
#: Lines are sent every second and can be found some seconds later.
FOUND_WITHIN = 60
#: Prints lines of ECS with a number each, some with fields of other types than ECS's, and one that only looks so; for
#: about three minutes.
WRITER = f"""
import json, time
odd = [{{}}, {{"error": "text"}}, {{"log": "text"}}, {{"service": {{"name": {{"a": 1}}}}}}, {{"@timestamp": "soon"}}]
for number in range({LINES}):
    print(json.dumps({{"@timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "ecs.version": "8.17.0",
        "message": f"line {{number}}", "labels.number": str(number), **odd[number % len(odd)]}}))
    if number % 100 == 99:
        time.sleep(0.15)
print('{{"ecs.version": "8.17.0", broken')
"""


@pytest.fixture
def kube(running):
    return Kubectl(Stock().binary("kubectl"), running.spec.home / "admin.kubeconfig")


@pytest.fixture
def get(running, tmp_path):
    """Asks the service as a user does; the answer."""
    plan = running.plan(tmp_path, 1, 1)
    host = live_host(Environment.DEV, running.outputs(Project.PLATFORM)["domain"])

    def ask(path, **headers):
        headers |= {"Host": host, "Authorization": f"Bearer {plan.secrets['SLIPWAY_TOKEN']}"}
        with httpx.Client(verify=ssl.create_default_context(cafile=str(plan.ca))) as client:
            return client.get(
                f"https://{plan.address}{path}", headers=headers, extensions={"sni_hostname": host}, timeout=10
            )

    return ask


def shown(running, *options):
    done = running.slipway("logs", "--json", *options, seconds=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_a_request_printed_is_found_by_its_id(running, get):
    identifier = uuid4().hex
    answer = get("/v1/users", **{"X-Request-ID": identifier})
    assert answer.headers["X-Request-ID"] == identifier
    (line,) = until(FOUND_WITHIN, lambda: shown(running, "--request", identifier))
    assert (line["http.response.status_code"], line["url.path"]) == (answer.status_code, "/v1/users")
    assert (line["kubernetes.namespace"], line["kubernetes.container.name"]) == (DEV, "service")
    assert line["labels.colour"] in {"blue", "green"}


def test_every_namespace_with_pods_is_heard(running):
    """Whatever prints, prints into the logs; but for the collectors themselves."""
    silent = {Namespace.NODE_LOGS.value}
    with_pods = {pod["metadata"]["namespace"] for pod in running.kubectl.get("pods", "--all-namespaces")} - silent

    def heard():
        with reader(running.kubectl) as client:
            body = {"size": 0, "aggs": {"of": {"terms": {"field": "kubernetes.namespace", "size": 100}}}}
            found = client.post(SEARCH, json=body).raise_for_status().json()
        return {it["key"] for it in found["aggregations"]["of"]["buckets"]} >= with_pods

    until(FOUND_WITHIN, heard)


def test_indices_are_made_by_the_template(running):
    with reader(running.kubectl) as client:
        answer = client.get(f"/{LOG_INDEX}-*/_mapping").raise_for_status().json()
    assert answer
    wanted = set(template(0)["template"]["mappings"]["properties"])
    for name, found in answer.items():
        assert re.fullmatch(rf"{LOG_INDEX}-\d{{4}}\.\d\d\.\d\d", name)
        flat = json.dumps(found["mappings"])
        assert found["mappings"]["dynamic"] == "false"
        assert all(f'"{field.rpartition(".")[2]}"' in flat for field in wanted)


def test_who_may_read_may_change_nothing(running):
    with reader(running.kubectl) as client:
        assert client.put(f"/{LOG_INDEX}-2020.01.01").status_code == httpx.codes.FORBIDDEN
        assert client.delete(f"/{LOG_INDEX}-*").status_code in {httpx.codes.FORBIDDEN, httpx.codes.BAD_REQUEST}
        assert client.get("/_cluster/health").status_code == httpx.codes.FORBIDDEN
        assert client.get(SEARCH, auth=("reader", "wrong")).status_code == httpx.codes.UNAUTHORIZED


def writer(running, name):
    """A pod that prints; removed with its namespace's other leftovers by the test."""
    keeper = json.loads(running.kubectl("get", "deployment", LOG_KEEPER, f"--namespace={LOGS}", "--output=json"))
    image = keeper["spec"]["template"]["spec"]["containers"][0]["image"]
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": DEV, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "writer",
                    "image": image,
                    "command": ["python3", "-u", "-c", WRITER],
                    "securityContext": security,
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
                }
            ],
        },
    }


def numbers(running, pod):
    """The numbers of all lines of a pod that are kept, each as often as it is kept."""
    found, after = [], None
    with reader(running.kubectl) as client:
        while True:
            body = {
                "size": 10_000,
                "_source": ["labels.number"],
                "sort": ["@timestamp", "log.offset"],
                "query": {
                    "bool": {"filter": [{"term": {"kubernetes.pod.name": pod}}, {"term": {"labels.format": "ecs"}}]}
                },
            }
            answer = client.post(SEARCH, json=body if after is None else body | {"search_after": after})
            hits = answer.raise_for_status().json()["hits"]["hits"]
            if not hits:
                return found
            found += [int(hit["_source"]["labels.number"]) for hit in hits]
            after = hits[-1]["sort"]


def test_no_line_is_lost_though_collector_and_elasticsearch_are_killed(running, kube, tmp_path):
    name = f"writer-{uuid4().hex[:6]}"
    (tmp_path / "pod.json").write_text(json.dumps(writer(running, name)))
    running.kubectl("create", f"--filename={tmp_path / 'pod.json'}")
    try:
        until(120, lambda: _phase(running, name) == "Running")
        (place,) = kube.pods(DEV, {"app.kubernetes.io/name": name})
        machine = on_node(running.spec)
        time.sleep(10)
        _kill_collector(kube, machine, place.node)
        time.sleep(10)
        store_pod = next(it for it in kube.pods(LOGS, {"app.kubernetes.io/name": ELASTICSEARCH}))
        KillProgram(machine, store_pod, ELASTICSEARCH, "java").inject()
        time.sleep(5)
        _pause_longer_than_any_patience(kube, machine)
        # Again, with lines that are read and were not taken: they must be on the disk.
        _kill_collector(kube, machine, place.node)
        until(600, lambda: _phase(running, name) == "Succeeded")
        found = until(300, lambda: _whole(running, name), every=5)
    finally:
        running.kubectl("delete", "pod", name, f"--namespace={DEV}", "--wait=false")
    assert len(set(found)) == LINES
    # What was sent twice is kept once.
    assert sorted(found) == list(range(LINES))
    (broken,) = [
        it for it in shown(running, "--pod", name, "--format", "text", "--since", "1h") if "broken" in it["message"]
    ]
    assert broken["message"] == '{"ecs.version": "8.17.0", broken'


def _pause_longer_than_any_patience(kube, machine):
    """Elasticsearch takes connections and answers nothing; an exporter's usual patience is 90 s."""
    pod = until(
        180, lambda: next((it for it in kube.pods(LOGS, {"app.kubernetes.io/name": ELASTICSEARCH}) if it.ready), None)
    )
    fault = PauseContainer(machine, pod, ELASTICSEARCH)
    fault.inject()
    try:
        time.sleep(110)
    finally:
        fault.heal()


def _kill_collector(kube, machine, node):
    def running():
        found = kube.pods(Namespace.NODE_LOGS.value, {"app.kubernetes.io/name": LOG_COLLECTOR})
        return next((it for it in found if it.node == node and it.ready), None)

    # After an end of its own or ours the kubelet waits before it starts it again.
    KillContainer(machine, until(120, running), LOG_COLLECTOR).inject()


def _phase(running, name):
    return json.loads(running.kubectl("get", "pod", name, f"--namespace={DEV}", "--output=json"))["status"]["phase"]


def _whole(running, name):
    """All numbers once there are as many as were printed; what is missing then is lost, or comes too late."""
    try:
        found = numbers(running, name)
    except httpx.HTTPError:
        return None
    return found if len(set(found)) >= LINES else None
