import json

import pytest

from infra.naming import Environment
from slipway.cli.stores import PostgresStore, RedisStore, ServiceMessages, led, master_life, next_primary
from slipway.node.errors import NodeError
from slipway.proof.surroundings import Leader

HEALTHY = {
    "spec": {"instances": 3},
    "status": {
        "readyInstances": 3, "currentPrimary": "postgres-2", "targetPrimary": "postgres-2",
        "currentPrimaryTimestamp": "t1", "phase": "Cluster in healthy state",
        "instancesStatus": {"healthy": ["postgres-1", "postgres-2", "postgres-3"]},
    },
}  # fmt: skip
INFO = "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:{role}\r\nmin_slaves_good_slaves:{heard}\r\n"


class Kubectl:
    """Answers by the first word that fits; keeps what it was asked."""

    def __init__(self, **answers):
        self.answers, self.calls = answers, []

    def __call__(self, *words, stdin=None, timeout=None):  # noqa: ARG002 -- the shape of it
        self.calls.append((words, stdin))
        for word, answer in self.answers.items():
            if word.replace("_", "-") in words:
                return answer
        raise NodeError("no route to host")


def changed(**status):
    return {**HEALTHY, "status": {**HEALTHY["status"], **status}}


def test_postgres_is_led_once_all_members_are_ready_and_no_succession_is_under_way():
    assert led(HEALTHY) == Leader("postgres-2", "t1")
    assert led(changed(readyInstances=2)) is None
    assert led(changed(targetPrimary="postgres-1")) is None
    assert led(changed(phase="Failing over")) is None
    assert led({"spec": {"instances": 3}}) is None


def test_while_the_api_does_not_answer_nobody_leads():
    assert PostgresStore(Kubectl()).leader() is None
    assert RedisStore(Kubectl()).leader() is None


@pytest.mark.parametrize(
    ("leads", "healthy", "next_"),
    [
        ("postgres-2", ["postgres-1", "postgres-2", "postgres-3"], "postgres-3"),
        ("postgres-3", ["postgres-1", "postgres-2", "postgres-3"], "postgres-1"),
        ("postgres-2", ["postgres-1"], "postgres-1"),
    ],
)
def test_the_next_primary_is_the_next_healthy_member(leads, healthy, next_):
    assert next_primary({"currentPrimary": leads, "instancesStatus": {"healthy": healthy}}) == next_


def test_postgres_hands_over_only_to_a_healthy_member():
    with pytest.raises(NodeError, match="hand over to nobody: postgres-2 leads"):
        next_primary({"currentPrimary": "postgres-2", "instancesStatus": {"healthy": ["postgres-2"]}})


def test_a_switchover_is_asked_for_by_the_status():
    kubectl = Kubectl(get=json.dumps(HEALTHY), patch="")
    PostgresStore(kubectl).hand_over()
    words, _ = kubectl.calls[-1]
    assert "--subresource=status" in words
    patch = json.loads(words[-1].removeprefix("--patch="))
    assert patch["status"]["targetPrimary"] == "postgres-3"


def test_a_roll_is_asked_for_of_who_runs_the_members():
    kubectl = Kubectl(annotate="", rollout="")
    PostgresStore(kubectl).roll()
    RedisStore(kubectl).roll()
    (postgres, _), (redis, _) = kubectl.calls
    assert postgres[:3] == ("annotate", "clusters.postgresql.cnpg.io", "postgres")
    assert postgres[-1].startswith("kubectl.kubernetes.io/restartedAt=2")
    assert redis == ("rollout", "restart", "statefulset/redis", "--namespace=data")


def test_replicas_are_held_and_only_who_recovers_is_freed():
    kubectl = Kubectl(get=json.dumps(changed(instanceNames=["postgres-1", "postgres-2", "postgres-3"])), exec="")
    postgres = PostgresStore(kubectl)
    postgres.hold_replicas()
    held = [(words[2], stdin) for words, stdin in kubectl.calls if words[0] == "exec"]
    assert held == [(name, "SELECT pg_wal_replay_pause();\n") for name in ("postgres-1", "postgres-3")]
    kubectl.calls.clear()
    postgres.free_replicas()
    freed = [(words[2], stdin) for words, stdin in kubectl.calls if words[0] == "exec"]
    assert [name for name, _ in freed] == ["postgres-1", "postgres-2", "postgres-3"]
    assert all(text.endswith("pg_wal_replay_resume() WHERE pg_is_in_recovery();\n") for _, text in freed)


def test_a_master_that_too_few_replicas_hear_takes_no_writes():
    assert master_life(INFO.format(role="master", heard=1)) == "abc"
    assert master_life(INFO.format(role="master", heard=0)) is None
    assert master_life(INFO.format(role="slave", heard=1)) is None
    assert master_life("") is None


def test_the_first_member_that_takes_writes_leads():
    kubectl = Kubectl(redis_1=INFO.format(role="master", heard=2), redis_0=INFO.format(role="slave", heard=0))
    assert RedisStore(kubectl).leader() == Leader("redis-1", "abc")


def test_a_message_is_held_back_counted_and_removed():
    kubectl = Kubectl(get=json.dumps(HEALTHY), exec="3\n")
    messages = ServiceMessages(PostgresStore(kubectl), Environment.DEV)
    messages.hold_back()
    assert messages.waiting() == 3
    messages.let_go()
    asked = [stdin for words, stdin in kubectl.calls if words[0] == "exec"]
    assert [text.split()[0] for text in asked] == ["INSERT", "SELECT", "DELETE"]
    words = next(words for words, _ in kubectl.calls if words[0] == "exec")
    assert {"postgres-2", "--set=topic=drill.held-back"} <= set(words)
