"""Logs: from each node's files to Elasticsearch, over TLS, each user with the least, every line at least once."""

import base64
import json
import re

import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from hypothesis import given
from hypothesis import strategies as st
from infra_stand_ins import BALANCED

from infra import naming
from infra.components import elasticsearch, log_collector, log_keeper
from infra.components.platform import Platform, PlatformConfig
from infra.images import LOGS_IMAGES, PLATFORM_IMAGES, ImageSource
from infra.labels import content_hash
from infra.parts import ExternalLogs, Store
from infra.profiles import PROFILES, ProfileName
from infra.quantities import octets
from infra.settings import PlatformSettings

LOGS = {
    "kubernetes:apps/v1:DaemonSet": 1,
    "kubernetes:apps/v1:Deployment": 1,
    "kubernetes:apps/v1:StatefulSet": 1,
    "kubernetes:core/v1:ConfigMap": 3,
    "kubernetes:core/v1:Namespace": 2,
    "kubernetes:core/v1:Secret": 4,
    "kubernetes:core/v1:Service": 2,
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": 3,
    "pulumi-python:dynamic/slipway:GeneratedCertificate": 1,
    "pulumi-python:dynamic/slipway:GeneratedPassword": 3,
    # The keepers of Redis run in one of them too.
    "pulumi-python:dynamic/slipway:LocalImage": len(set(LOGS_IMAGES) - set(PLATFORM_IMAGES)),
}
#: Where the password of each user is, besides where it is checked.
READERS = (("logs", "log-keeper"), ("logs", "log-reader"), ("node-logs", "log-collector"))


@pytest.fixture(scope="module")
def runs():
    """What was registered with which settings: a run takes a second and never differs."""
    return {}


@pytest.fixture
def platform(deploy, release, runs):
    def run(**settings):
        key = tuple(sorted(settings.items()))
        if key not in runs:
            chosen = PlatformSettings(metrics=Store.OFF, **settings)
            runs[key] = deploy(lambda: Platform("platform", PlatformConfig("test", BALANCED, chosen, release)))
        return runs[key]

    return run


def test_these_resources_keep_logs_and_no_others(platform):
    with_logs, without = platform().counts(), platform(logs=Store.OFF).counts()
    added = {kind: count - without.get(kind, 0) for kind, count in with_logs.items()}
    assert {kind: count for kind, count in added.items() if count} == LOGS


@pytest.mark.parametrize("profile", ProfileName)
def test_several_of_them_elect_a_master_and_one_may_be_lost(platform, profile):
    run, size = platform(profile=profile), PROFILES[profile]
    spec = next(it for it in run.of("kubernetes:apps/v1:StatefulSet") if it.name == "elasticsearch").inputs["spec"]
    settings = elasticsearch.settings(size)
    budgets = [it["metadata"]["name"] for it in run.objects() if it["kind"] == "PodDisruptionBudget"]
    assert spec["replicas"] == size.elasticsearch_replicas
    assert spec["podManagementPolicy"] == "Parallel"
    if size.elasticsearch_replicas == 1:
        assert settings["discovery.type"] == "single-node"
        assert log_keeper.copies(size) == 0
    else:
        assert settings["cluster.initial_master_nodes"] == [f"elasticsearch-{it}" for it in range(3)]
        assert "discovery.type" not in settings
        assert log_keeper.copies(size) == 1
    assert ("elasticsearch" in budgets) == (size.elasticsearch_replicas > 1)
    volumes = octets(size.elasticsearch_storage) * size.elasticsearch_replicas
    assert log_keeper.budget(size) * (1 + log_keeper.copies(size)) <= 0.75 * volumes


def test_passwords_are_in_secrets_and_only_as_hashes_where_they_are_checked(platform):
    run = platform()
    secrets = {
        (it.inputs["metadata"]["namespace"], it.inputs["metadata"]["name"]): it.inputs["stringData"]
        for it in run.of("kubernetes:core/v1:Secret")
    }
    plain = {secrets[where]["password"] for where in READERS}
    assert all(plain)
    assert not [text for text in run.plain_texts() for password in plain if password in text]
    own = secrets["logs", naming.ELASTICSEARCH]
    assert not [password for password in plain if password in json.dumps(own)]
    assert re.fullmatch(r"(\w+:\{PBKDF2\}10000\$[\w+/=]{44}\$[\w+/=]{44}\n){3}", own["users"])


@given(st.text(min_size=1, max_size=60))
def test_a_hash_is_that_of_the_password_by_another_implementation(password):
    rounds, salt, derived = elasticsearch.hashed(password).removeprefix("{PBKDF2}").split("$")
    algorithm = PBKDF2HMAC(hashes.SHA512(), length=32, salt=base64.b64decode(salt), iterations=int(rounds))
    algorithm.verify(password.encode(), base64.b64decode(derived))
    assert elasticsearch.hashed(password) == elasticsearch.hashed(password)


def test_each_user_may_do_what_it_is_for_and_nothing_else():
    roles = yaml.safe_load(
        elasticsearch.configuration_files(PROFILES[ProfileName.SMALL], elasticsearch.ROLES)["roles.yml"]
    )
    allowed = {
        user: {*role.get("cluster", ()), *(it for index in role["indices"] for it in index["privileges"])}
        for user, role in roles.items()
    }
    assert allowed["collector"] == {"create_doc", "auto_configure"}
    assert "read" not in allowed["keeper"]
    assert not {"all", "manage", "write", "index", "delete"} & set().union(*allowed.values())
    assert {name for role in roles.values() for index in role["indices"] for name in index["names"]} == {
        "slipway-logs-*",
        "slipway-jaeger-*",
    }
    assert elasticsearch.ROLES["collector"]["indices"][0]["names"] == ["slipway-logs-*"]
    assert elasticsearch.ROLES["reader"]["indices"][0]["names"] == ["slipway-logs-*"]


def test_the_collector_reads_the_nodes_files_and_can_change_none_of_them(platform):
    pod = dict(platform().pods())["DaemonSet/log-collector"]
    (container,) = pod["containers"]
    mounts = {it["mountPath"]: it.get("readOnly", False) for it in container["volumeMounts"]}
    assert mounts.pop("/var/lib/log-collector") is False
    assert all(mounts.values())
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["automountServiceAccountToken"] is False


def test_nothing_is_given_up_and_everything_survives_the_collectors_end():
    pipeline = log_collector.pipeline()
    receiver, exporter = pipeline["receivers"]["file_log"], pipeline["exporters"]["elasticsearch"]
    assert receiver["storage"] == exporter["sending_queue"]["storage"] == "file_storage"
    assert receiver["retry_on_failure"] == {"enabled": True, "max_elapsed_time": "0s"}
    assert exporter["sending_queue"]["block_on_overflow"] is True
    assert exporter["logs_dynamic_id"] == {"enabled": True}
    assert receiver["start_at"] == "beginning"
    # The exporter throws away what takes longer than this, and what is answered with another status.
    assert exporter["timeout"] == "0s"
    assert {401, 403, 429, 503} <= set(exporter["retry"]["retry_on_status"])


def test_a_line_is_in_the_queue_before_it_counts_as_read(platform):
    (container,) = dict(platform().pods())["DaemonSet/log-collector"]["containers"]
    assert "--feature-gates=stanza.synchronousLogEmitter" in container["args"]


def test_the_collector_does_not_collect_itself():
    excluded = log_collector.pipeline()["receivers"]["file_log"]["exclude"]
    assert any(it.startswith(f"/var/log/pods/{naming.Namespace.NODE_LOGS}_") for it in excluded)


def test_every_operator_that_is_named_is_there_and_both_kinds_of_lines_meet_again():
    operators = log_collector.operators()
    names = [it["id"] for it in operators if "id" in it]
    assert len(names) == len(set(names))
    router = next(it for it in operators if it["type"] == "router")
    aims = [router["default"], *(it["output"] for it in router["routes"]), *(it.get("output") for it in operators)]
    assert {it for it in aims if it} == set(names)


def test_a_change_of_configuration_or_program_makes_new_pods(platform, monkeypatch):
    pods = platform().of("kubernetes:apps/v1:DaemonSet")
    (before,) = [it.inputs["spec"]["template"]["metadata"]["annotations"] for it in pods if it.name == "collector"]
    monkeypatch.setattr(log_collector, "_QUEUE", 101)
    assert content_hash(log_collector.text()) not in before.values()


def test_the_keeper_runs_the_program_that_is_tested(platform):
    run = platform()
    program = next(
        it.inputs["data"]
        for it in run.of("kubernetes:core/v1:ConfigMap")
        if it.inputs["metadata"]["name"] == naming.LOG_KEEPER
    )
    compile(program["keeper.py"], "keeper.py", "exec")
    (container,) = dict(run.pods())["Deployment/log-keeper"]["containers"]
    assert container["command"] == ["python3", "/srv/keeper/keeper.py"]
    assert {it["name"] for it in container["env"]} == {
        "ELASTICSEARCH_URL",
        "ELASTICSEARCH_USER",
        "ELASTICSEARCH_PASSWORD_FILE",
        "ELASTICSEARCH_CA_FILE",
        "DAYS",
        "BYTES",
        "REPLICAS",
    }


def test_everything_can_also_be_had_from_public_registries(platform):
    run = platform(image_source=ImageSource.UPSTREAM)
    names = {"StatefulSet/elasticsearch", "DaemonSet/log-collector", "Deployment/log-keeper"}
    images = {name: pod["containers"][0]["image"] for name, pod in run.pods() if name in names}
    assert set(images) == names
    assert not [it for it in images.values() if "registry.test" in it]


def test_with_an_elasticsearch_of_others_only_collectors_are_made_and_ask_as_its_secret_says(platform):
    external = ExternalLogs(secret="main-logs", authority_key="ca.pem")
    run = platform(logs=Store.EXTERNAL, logs_external=external)
    of_logs = {it["metadata"].get("namespace", it["metadata"]["name"]) for it in run.objects()} & {"logs", "node-logs"}
    assert of_logs == {"node-logs"}
    pod = dict(run.pods())["DaemonSet/log-collector"]
    (access,) = [it["secret"]["secretName"] for it in pod["volumes"] if it["name"] == "access"]
    assert access == "main-logs"
    exporter = log_collector.pipeline(external)["exporters"]["elasticsearch"]
    read = {key: exporter[key] for key in ("endpoint", "user", "password", "tls")}
    assert read == {
        "endpoint": "${file:/run/secrets/elasticsearch/url}",
        "user": "${file:/run/secrets/elasticsearch/user}",
        "password": "${file:/run/secrets/elasticsearch/password}",
        "tls": {"ca_file": "/run/secrets/elasticsearch/ca.pem"},
    }
    # A public authority is trusted as it is; all else is as with our own.
    public = log_collector.pipeline(ExternalLogs(secret="main-logs"))["exporters"]["elasticsearch"]
    assert "tls" not in public
    own = log_collector.pipeline()["exporters"]["elasticsearch"]
    assert {key: it for key, it in exporter.items() if key not in read} == {
        key: it for key, it in own.items() if key not in read
    }
