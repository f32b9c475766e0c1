"""What `up` sees when Pulumi is through: StatefulSets that are not done, and a rollout that needs somebody."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from infra.engine import EngineError
from infra.naming import BACKUP_PLUGIN, Environment
from slipway.cli import settling
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import Phase, Reason, RolloutStatus

SPEC = RolloutSpec(service="payload", image="registry.test/payload@sha256:" + "0" * 64, template="payload")


def stateful_set(*, generation=2, seen=2, ready=1, current="a", update="a", wanted=1, updated=None, **spec):
    status = {
        "observedGeneration": seen, "readyReplicas": ready, "currentRevision": current, "updateRevision": update
    }  # fmt: skip
    return {
        "metadata": {"name": "elasticsearch", "namespace": "logs", "generation": generation},
        "spec": {"replicas": wanted, **spec},
        "status": status | ({} if updated is None else {"updatedReplicas": updated}),
    }


@pytest.mark.parametrize(
    ("it", "done"),
    [
        (stateful_set(), True),
        # As Pulumi's provider reads it right after its change, and takes it for done.
        (stateful_set(generation=3, seen=2), False),
        (stateful_set(current="a", update="b", updated=0), False),
        (stateful_set(current="a", update="b", updated=1, ready=0), False),
        # The pod is new and ready; the cluster has only not called the revision current yet.
        (stateful_set(current="a", update="b", updated=1), True),
        (stateful_set(wanted=3, ready=2), False),
        (stateful_set(wanted=3, ready=3, current="a", update="b", updated=2), False),
        (stateful_set(wanted=0, ready=0), True),
        (stateful_set(current="a", update="b", updated=0, updateStrategy={"type": "OnDelete"}), True),
        ({"metadata": {"name": "elasticsearch", "namespace": "logs", "generation": 1}, "spec": {}}, False),
    ],
)
def test_a_stateful_set_is_done_when_every_pod_is_new_and_ready(it, done):
    assert bool(settling.unsettled([it])) is not done


def test_what_others_run_on_the_same_cluster_is_not_waited_for():
    theirs = stateful_set(ready=0)
    theirs["metadata"]["namespace"] = "theirs"
    assert settling.unsettled([theirs]) == []


def database(*, ready=3, phase="Cluster in healthy state", plugins=(BACKUP_PLUGIN,)):
    spec = {"instances": 3, "plugins": [{"name": name, "isWALArchiver": True} for name in plugins]}
    return {"spec": spec, "status": {"readyInstances": ready, "phase": phase}}


@pytest.mark.parametrize(
    ("it", "missing"),
    [
        (None, []),
        (database(), []),
        # Two are ready, the third is being started anew; then all are, and the primary hands over.
        (database(ready=2, phase="Waiting for the instances to become active"), ["data/postgres (2 of 3)"]),
        (database(phase="Switchover in progress"), ["data/postgres (3 of 3)"]),
        (database(ready=2), ["data/postgres (2 of 3)"]),
        ({"spec": {"instances": 3}}, ["data/postgres (0 of 3)"]),
    ],
)
def test_postgres_is_done_when_its_operator_says_so_of_every_member(it, missing):
    assert settling.unsettled_postgres(it) == missing


class Api:
    """Gives a list after the other, and one Postgres; notes what it is given."""

    def __init__(self, *answers, postgres=None):
        self.answers, self.postgres, self.made = list(answers), postgres, []

    async def list(self, _path):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def get(self, path):
        assert path == "/apis/postgresql.cnpg.io/v1/namespaces/data/clusters/postgres"
        return self.postgres

    async def create(self, path, body):
        assert path == "/apis/postgresql.cnpg.io/v1/namespaces/data/backups"
        self.made.append(body)


@pytest.mark.parametrize(
    ("phases", "postgres", "wanted"),
    [
        (["failed"], database(), True),
        (["failed", "failed"], database(), True),
        (["failed", "completed"], database(), False),
        (["failed", "running"], database(), False),
        # It goes on by itself as soon as the archive takes the log again.
        (["walArchivingFailing"], database(), False),
        # The operator has made the first one, and said nothing yet; or has not made it yet.
        ([""], database(), False),
        ([], database(), False),
        # What is left of backups that were turned off.
        (["failed"], database(plugins=()), False),
        (["failed"], None, False),
    ],
)
def test_a_base_backup_is_asked_for_where_all_have_failed(phases, postgres, wanted):
    api, told = Api([{"status": {"phase": phase}} for phase in phases], postgres=postgres), []
    asyncio.run(settling.first_backup(api, told.append))
    assert [it["metadata"] for it in api.made] == [{"generateName": "postgres-", "namespace": "data"}] * wanted
    assert len(told) == wanted


def test_up_waits_until_the_pod_is_replaced_and_tells_for_which():
    told = []
    api = Api([stateful_set(seen=1)], [stateful_set(seen=1)], [stateful_set(ready=0)], [stateful_set()])
    asyncio.run(settling.settle(api, told.append, poll=0))
    assert told == ["pods that are replaced: logs/elasticsearch (0 of 1)"]
    assert len(api.answers) == 1


def test_up_waits_until_postgres_has_changed_its_members():
    told = []
    api = Api([], postgres=database(ready=2))

    def tell(text):
        told.append(text)
        api.postgres = database()

    asyncio.run(settling.settle(api, tell, poll=0))
    assert told == ["pods that are replaced: data/postgres (2 of 3)"]


def test_one_that_never_comes_is_named():
    with pytest.raises(EngineError, match=r"pods to be replaced: logs/elasticsearch \(0 of 1\); `slipway status`"):
        asyncio.run(settling.settle(Api([stateful_set(ready=0)]), lambda _: None, patience=-1, poll=0))


def rollout(phase, name="payload", **status):
    return Rollout(name, "dev", "u", 1, "1", SPEC, RolloutStatus(phase=phase, **status))


@pytest.mark.parametrize("phase", Phase)
def test_whoever_changed_the_service_learns_what_is_not_settled(phase):
    lines = settling.told(rollout(phase, message="no traffic", reason=Reason.INCONCLUSIVE))
    settled = {
        Phase.PROMOTED, Phase.SOAK, Phase.DRAINING, Phase.WARM_STANDBY, Phase.CONTRACT, Phase.DONE,
    }  # fmt: skip
    assert bool(lines) is (phase not in settled)


def test_a_canary_without_traffic_is_told_with_the_command_that_lets_it_on():
    paused = rollout(Phase.PAUSED, message="error-ratio: 3 of 50 samples", reason=Reason.INCONCLUSIVE)
    assert settling.told(paused) == [
        "the rollout of dev/payload waits for a person (Inconclusive): error-ratio: 3 of 50 samples",
        "look:      slipway rollout status --environment dev",
        "let it on: slipway rollout approve --environment dev",
        "take back: slipway rollout abort --environment dev",
    ]
    assert "--environment dev --service other" in settling.told(rollout(Phase.PAUSED, name="other"))[1]


@pytest.fixture
def server():
    """An API server of one answer, and the paths that were asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = json.dumps({"items": [stateful_set()] if "statefulsets" in self.path else []}).encode()
            known = 404 if self.path.endswith("/clusters/postgres") else 200
            self.send_response(403 if "forbidden" in self.headers.get("Authorization", "") else known)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            """Nothing is printed."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found.server_address[1], asked
    found.shutdown()
    found.server_close()
    thread.join()


def kubeconfig(port, token="open"):  # noqa: S107  # no secret
    return yaml.safe_dump(
        {
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "a", "user": {"token": token}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "current-context": "a",
        }
    )


def test_the_cluster_is_asked_by_the_kubeconfig_that_pulumi_hands_over(server):
    port, asked = server
    settling.see(kubeconfig(port), lambda api: settling.settle(api, lambda _: None))
    assert settling.see(kubeconfig(port), lambda api: settling.news(api, Environment.DEV)) == []
    settling.see(kubeconfig(port), lambda api: settling.first_backup(api, lambda _: None))
    assert asked == [
        "/apis/apps/v1/statefulsets",
        "/apis/postgresql.cnpg.io/v1/namespaces/data/clusters/postgres",
        "/apis/slipway.dev/v1alpha1/namespaces/dev/rollouts",
        "/apis/postgresql.cnpg.io/v1/namespaces/data/clusters/postgres",
    ]


def test_a_cluster_that_refuses_is_an_error_that_says_so(server):
    with pytest.raises(EngineError, match="everything is made, but the cluster cannot be asked"):
        settling.see(kubeconfig(server[0], "forbidden"), lambda api: settling.news(api, Environment.DEV))
