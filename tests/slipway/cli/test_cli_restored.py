"""The databases of a restore drill by kubectl: what is asked for, and that nothing of the running one is touched."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import naming
from infra.components.postgres import Archived, archived_spec
from infra.naming import Environment
from slipway.cli import restored
from slipway.cli.restored import NoBackupError, PostgresDatabases, archive_name, fresh_cluster
from slipway.node.errors import NodeError

RUNNING = {
    "metadata": {"name": naming.POSTGRES, "namespace": "data"},
    "spec": {
        "instances": 3,
        "imageName": "registry/postgres:17",
        "storage": {"size": "2Gi"},
        "resources": {"requests": {"memory": "256Mi"}},
        "postgresql": {
            "parameters": {"max_connections": "200", "archive_timeout": "60s"},
            "synchronous": {"method": "any", "number": 1},
        },
        **archived_spec(Archived("second")),
    },
    "status": {"currentPrimary": "postgres-2"},
}


class Kubectl:
    """Answers by the first words; what is not known fails as kubectl would."""

    def __init__(self, **answers):
        self.answers, self.calls = answers, []

    def __call__(self, *words, stdin=None, timeout=60.0):
        self.calls.append((words, stdin))
        if words[0] == "exec":
            return self.answers["asked"](words, stdin)
        if words[:2] == ("get", "clusters.postgresql.cnpg.io"):
            return json.dumps(RUNNING)
        if words[0] == "get":
            return json.dumps({"items": self.answers["backups"].pop(0)})
        assert words[0] in {"apply", "create", "delete"}, words
        assert timeout > 0
        return ""

    def made(self):
        return [json.loads(stdin) for words, stdin in self.calls if words[0] == "create"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(restored, "_EVERY", 0.0)


@given(moment=st.none() | st.datetimes().map(lambda it: f"{it.isoformat()}Z"))
def test_the_fresh_one_is_alone_has_another_name_and_archives_nothing(moment):
    made = fresh_cluster(RUNNING, "restore-drill-1", moment)
    spec = made["spec"]
    assert made["metadata"]["name"] != naming.POSTGRES
    assert made["metadata"]["labels"] == {restored.LABEL: "restore"}
    assert "plugins" not in spec
    assert spec["instances"] == 1
    assert spec["imageName"] == RUNNING["spec"]["imageName"]
    # With one instance there is nobody to wait for: it would never take a write.
    assert spec["postgresql"] == {"parameters": {"max_connections": "200"}}
    (origin,) = spec["externalClusters"]
    assert origin["plugin"]["parameters"]["serverName"] == "second"
    assert spec["bootstrap"]["recovery"].get("recoveryTarget") == ({"targetTime": moment} if moment else None)


def test_a_postgres_without_backups_says_how_to_get_them():
    plain = {**RUNNING, "spec": {"instances": 3}}
    with pytest.raises(NoBackupError, match=r"slipway-platform:backups managed.*docs/how-to/backups\.md"):
        archive_name(plain)


def test_a_base_backup_is_asked_for_only_if_none_is_there_or_under_way():
    kubectl = Kubectl(backups=[[{"status": {"phase": "running"}}], [{"status": {"phase": "completed"}}]])
    PostgresDatabases(kubectl, Environment.DEV).base_backup()
    assert kubectl.made() == []
    kubectl = Kubectl(backups=[[{"status": {"phase": "failed"}}], [{}], [{"status": {"phase": "completed"}}]])
    PostgresDatabases(kubectl, Environment.DEV).base_backup()
    (made,) = kubectl.made()
    assert made["kind"] == "Backup"
    assert made["spec"]["cluster"] == {"name": naming.POSTGRES}


def test_a_new_base_backup_is_waited_for_whichever_there_are_already():
    class Asked(Kubectl):
        """What was asked for becomes complete at the second look."""

        def __call__(self, *words, stdin=None, timeout=60.0):
            if words[:2] == ("get", "backups.postgresql.cnpg.io"):
                (made,) = self.made()
                status = self.answers["states"].pop(0)
                old = {"metadata": {"name": "old"}, "status": {"phase": "completed"}}
                return json.dumps({"items": [old, {"metadata": made["metadata"], "status": status}]})
            return super().__call__(*words, stdin=stdin, timeout=timeout)

    kubectl = Asked(states=[{}, {"phase": "running"}, {"phase": "completed"}])
    PostgresDatabases(kubectl, Environment.DEV).new_base_backup()
    assert kubectl.answers["states"] == []
    failing = Asked(states=[{"phase": "failed", "error": "AccessDenied"}])
    with pytest.raises(NoBackupError, match=r"is failed, not completed.*AccessDenied"):
        PostgresDatabases(failing, Environment.DEV).new_base_backup()


def test_an_archive_is_waited_for_until_the_closed_log_is_in_it():
    answers = ["000000010000000000000007", "000000010000000000000006", "000000010000000000000007"]
    kubectl = Kubectl(asked=lambda *_: answers.pop(0))
    PostgresDatabases(kubectl, Environment.DEV).archive()
    assert answers == []
    assert all("postgres-2" in words for words, _ in kubectl.calls if words[0] == "exec")


def test_values_reach_the_database_by_psql_and_never_in_the_statement():
    kubectl = Kubectl(asked=lambda *_: "")
    databases = PostgresDatabases(kubectl, Environment.DEV)
    databases.replace("it's@example.test", "b@example.test")
    ((words, stdin),) = kubectl.calls
    assert "--set=mark=it's@example.test" in words
    assert stdin == "UPDATE users SET email = :'by' WHERE email = :'mark';\n"
    assert "--dbname=payload_dev" in words
    assert not [word for word in words if word.startswith("postgres-")], "never the running one"


def test_a_database_that_does_not_answer_is_not_restored_yet():
    def refused(_words, _stdin):
        raise NodeError("no such pod")

    assert not PostgresDatabases(Kubectl(asked=refused), Environment.DEV).restored()
    assert not PostgresDatabases(Kubectl(asked=lambda *_: "t\n"), Environment.DEV).restored()
    assert PostgresDatabases(Kubectl(asked=lambda *_: "f\n"), Environment.DEV).restored()


@pytest.mark.parametrize(
    ("answers", "newest"),
    [(["0"], ""), (["1", "t"], ""), (["1", "f", "2026-11-21T12:00:00Z"], "2026-11-21T12:00:00Z")],
    ids=["no database yet", "no table yet", "users"],
)
def test_a_moment_before_the_first_user_has_no_newest_one(answers, newest):
    kubectl = Kubectl(asked=lambda *_: answers.pop(0))
    assert PostgresDatabases(kubectl, Environment.DEV).newest() == newest
    assert answers == []


def test_what_is_removed_is_found_by_the_label_of_drills():
    kubectl = Kubectl()
    PostgresDatabases(kubectl, Environment.DEV).remove()
    ((words, _),) = kubectl.calls
    assert f"--selector={restored.LABEL}=restore" in words
    assert naming.POSTGRES not in words


def test_a_restore_that_held_leaves_word_in_the_cluster():
    kubectl = Kubectl()
    PostgresDatabases(kubectl, Environment.DEV).passed()
    ((words, stdin),) = kubectl.calls
    made = json.loads(stdin)
    assert words[:2] == ("apply", "--server-side")
    assert (made["kind"], made["metadata"]) == ("Lease", {"name": "restore-drill", "namespace": "data"})
    age = datetime.now(UTC) - datetime.fromisoformat(made["spec"]["renewTime"])
    assert timedelta(0) <= age < timedelta(minutes=5)
