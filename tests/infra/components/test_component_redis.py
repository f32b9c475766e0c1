"""Redis: three members that survive, a cache that may not, TLS alone, passwords in no command line."""

import ast
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest

from infra import tls
from infra.components import redis, redis_files, redis_pods
from infra.components.certificates import Authority
from infra.components.redis import Redis
from infra.components.redis_pods import RedisConfig, RedisPasswords
from infra.labels import selector
from infra.profiles import PROFILES, ProfileName

PROFILE = PROFILES[ProfileName.SMALL]
PASSWORDS = RedisPasswords("plain-service", "plain-keeper", "plain-metrics")
AUTHORITY = tls.KeyPair("authority", "plain-authority-key")
CONFIG = RedisConfig(None, "redis@sha256:0", "python@sha256:0", PROFILE, "standard", PASSWORDS, None, 10)
SECRET_PASSWORDS = ("plain-service", "plain-keeper", "plain-metrics")


@pytest.fixture
def run(deploy):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "data", {})
        passwords = RedisPasswords(*map(pulumi.Output.secret, SECRET_PASSWORDS))
        return Redis(
            "redis", replace(CONFIG, namespace=namespace, passwords=passwords, authority=Authority.of(AUTHORITY))
        )

    return deploy(program)


def members(run):
    return run.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]


def container(name):
    return {it["name"]: it for it in redis_pods.state_pod_spec(CONFIG)["containers"]}[name]


def test_these_resources_exist_and_no_others(run):
    assert run.counts() == {
        "kubernetes:apps/v1:Deployment": 1,
        "kubernetes:apps/v1:StatefulSet": 1,
        "kubernetes:core/v1:ConfigMap": 3,
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:core/v1:Secret": 4,
        "kubernetes:core/v1:Service": 5,
        "kubernetes:networking.k8s.io/v1:NetworkPolicy": 2,
        "kubernetes:policy/v1:PodDisruptionBudget": 1,
        "pulumi-python:dynamic/slipway:GeneratedCertificate": 2,
    }


@pytest.mark.parametrize("number", range(3))
def test_each_member_has_an_address_that_stays(run, number):
    service = run.one("kubernetes:core/v1:Service", f"redis-{number}").inputs["spec"]
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"] == selector("redis") | {"statefulset.kubernetes.io/pod-name": f"redis-{number}"}
    assert {it["name"]: it["port"] for it in service["ports"]} == {"redis": 6379, "sentinel": 26379}


def test_there_are_three_members_on_different_nodes_started_at_once(run):
    spec = members(run)
    assert (spec["replicas"], spec["podManagementPolicy"], spec["serviceName"]) == (3, "Parallel", "redis")
    assert run.one("kubernetes:core/v1:Service", "redis").inputs["spec"]["clusterIP"] == "None"
    (constraint,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["labelSelector"]["matchLabels"] == selector("redis")
    # No duty: a member whose volume lies beside another member's must start all the same.
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"


def test_one_member_at_a_time_may_be_taken(run):
    budget = run.one("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == selector("redis")


def test_members_that_speak_tls_are_a_set_of_their_own(run):
    """A set of members that speak it not cannot be rolled into this one: a selector that differs replaces it whole."""
    spec = members(run)
    assert spec["selector"]["matchLabels"] == selector("redis") | {"slipway.dev/speaks": "tls"}
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_certificates_name_whatever_members_and_cache_are_called_by(run):
    names = {it.name: it.inputs["dns_names"] for it in run.resources if it.type.endswith("GeneratedCertificate")}
    hosts = [f"redis-{number}.data.svc.cluster.local" for number in range(3)]
    addresses = [f"address-of-redis-{number}" for number in range(3)]
    assert names == {
        "redis": [*hosts, "localhost", "127.0.0.1", *addresses],
        "redis-cache": ["redis-cache.data.svc.cluster.local", "localhost", "127.0.0.1"],
    }


def test_a_key_is_seen_by_servers_and_by_nobody_else(run):
    for name in ("redis-tls", "redis-cache-tls"):
        assert set(run.one("kubernetes:core/v1:Secret", name).inputs["stringData"]) == {"ca.crt", "tls.crt", "tls.key"}
    measured = replace(CONFIG, exporter_image="exporter@sha256:0")
    for pod in (redis_pods.state_pod_spec(measured), redis_pods.cache_pod_spec(measured)):
        (trusted,) = [it for it in pod["volumes"] if it["name"] == "trusted"]
        assert {it["path"] for it in trusted["secret"]["items"]} == {"ca.crt", "tls.crt"}
        mounted = {
            it["name"]: {mount["name"] for mount in it["volume_mounts"] if mount["mount_path"] == redis_files.TLS}
            for it in pod["containers"]
        }
        servers = {"redis", "sentinel"}
        assert mounted == {name: {"tls" if name in servers else "trusted"} for name in mounted}


def test_a_new_certificate_makes_a_new_cache_and_no_new_member():
    def content(certificate):
        spec = redis.cache_spec(CONFIG, certificate)
        return spec["template"]["metadata"]["annotations"]["slipway.dev/content"]

    async def differ():
        first, again, other = [await content(it).future() for it in ("one", "one", "other")]
        return first == again != other

    assert asyncio.run(differ())


def test_nothing_is_heard_that_is_not_encrypted(run):
    for text in (redis_files.state_configuration("1gb"), redis_files.cache_configuration("1gb")):
        lines = text.splitlines()
        assert {"port 0", "tls-port 6379", "tls-auth-clients no", "tls-key-file /run/secrets/redis-tls/tls.key"} <= set(
            lines
        )
        assert [line for line in lines if line.startswith("port ")] == ["port 0"]
    assert "tls-replication yes" in redis_files.state_configuration("1gb").splitlines()
    command = redis_files.sentinel_command()[2]
    assert " --port 0 --tls-port 26379 " in command
    assert " --tls-replication yes " in command
    for _, pod in run.pods():
        for found in pod["containers"]:
            for kind in ("readinessProbe", "livenessProbe"):
                assert "tcpSocket" not in found[kind]


def test_passwords_are_in_secrets_and_nowhere_else(run):
    state = run.one("kubernetes:core/v1:Secret", "redis-auth").inputs["stringData"]
    assert state["keeper"] == "plain-keeper"
    assert state["users.acl"] == redis_files.users(*SECRET_PASSWORDS)
    assert state["replication.conf"] == "masteruser keeper\nmasterauth plain-keeper\n"
    cache = run.one("kubernetes:core/v1:Secret", "redis-cache-auth").inputs["stringData"]
    assert set(cache) == {"users.acl", "probe", "exporter.json"}
    assert not [text for text in run.plain_texts() if any(it in text for it in SECRET_PASSWORDS)]


def test_data_is_on_a_volume_of_the_profiles_size(run):
    claim = members(run)["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "standard"
    assert claim["resources"]["requests"]["storage"] == PROFILE.redis_storage


def test_state_keeps_everything_and_starts_without_a_role():
    lines = set(redis_files.state_configuration("1gb").splitlines())
    assert {"appendonly yes", "appendfsync everysec", "maxmemory 1gb", "maxmemory-policy noeviction"} <= lines
    assert {"min-replicas-to-write 1", "min-replicas-max-lag 10"} <= lines
    assert {"replicaof 127.0.0.1 1", "replica-priority 0"} <= lines


def test_the_cache_keeps_nothing_and_makes_room():
    lines = set(redis_files.cache_configuration("96mb").splitlines())
    assert {"appendonly no", 'save ""', "maxmemory 96mb", "maxmemory-policy allkeys-lfu"} <= lines


def test_everyone_is_asked_for_a_password_and_services_may_not_do_everything():
    for text in (redis_files.users("a", "b", "c"), redis_files.sentinel_users("a", "b")):
        assert text.startswith("user default off\n")
    (service,) = [line for line in redis_files.users("a", "b", "c").splitlines() if line.startswith("user service")]
    assert service.endswith("+@all -@admin -@dangerous")


def test_another_configuration_or_another_keeper_makes_other_pods(monkeypatch):
    def content(profile):
        spec = redis.stateful_set_spec(replace(CONFIG, profile=profile))
        return spec["template"]["metadata"]["annotations"]["slipway.dev/content"]

    first = content(PROFILE)
    assert content(PROFILE) == first != content(PROFILES[ProfileName.HA])
    monkeypatch.setattr(redis, "keeper_programs", lambda: {"decision.py": "pass"})
    assert content(PROFILE) != first


def test_the_keeper_says_whether_a_member_is_ready_and_each_lives_when_it_answers():
    keeper = container("keeper")
    for name in ("redis", "sentinel", "keeper"):
        assert container(name)["readiness_probe"]["http_get"] == {"path": "/readyz", "port": 8081}
    assert keeper["liveness_probe"]["http_get"] == {"path": "/livez", "port": 8081}
    assert {"name": "health", "container_port": 8081} in keeper["ports"]
    assert "--health-port=8081" in keeper["args"]
    for name, port in (("redis", "6379"), ("sentinel", "26379")):
        probe = container(name)["liveness_probe"]
        words = probe["exec_"]["command"]
        assert words[2:] == ["redis-cli", "-p", port, "--tls", "--insecure", "PING"]
        assert int(words[1]) < probe["timeout_seconds"]  # it ends before the kubelet would end it


def test_the_cache_is_ready_when_it_answers_who_may_read_nothing():
    (probe,) = [it["readiness_probe"] for it in redis_pods.cache_pod_spec(CONFIG)["containers"]]
    asked = probe["exec_"]["command"][2]
    assert "--user metrics --tls --cacert /run/secrets/redis-tls/ca.crt PING | grep -q PONG" in asked
    assert "timeout 2 " in asked
    assert probe["timeout_seconds"] > 2


def test_the_keeper_is_told_of_all_members_and_of_its_own_name():
    found = container("keeper")
    hosts = [f"redis-{number}.data.svc.cluster.local" for number in range(3)]
    assert f"--redis={','.join(f'{host}:6379' for host in hosts)}" in found["args"]
    assert f"--sentinels={','.join(f'{host}:26379' for host in hosts)}" in found["args"]
    assert "--ordinal=$(POD)" in found["args"]
    assert f"--tls={redis_files.TLS}" in found["args"]
    assert found["image"] == "python@sha256:0"


def test_the_keeper_needs_nothing_but_the_standard_library_and_itself(run):
    programs = run.one("kubernetes:core/v1:ConfigMap", "redis-keeper").inputs["data"]
    assert {
        "__init__.py",
        "__main__.py",
        "decision.py",
        "health.py",
        "keeper.py",
        "links.py",
        "renewal.py",
        "wire.py",
    } == set(programs)
    for name, text in programs.items():
        assert text == (Path(redis.__file__).parents[1] / "redis_keeper" / name).read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert node.module.startswith("infra.redis_keeper") or node.module.split(".")[0] in (
                    sys.stdlib_module_names
                )
            elif isinstance(node, ast.Import):
                assert {it.name.split(".")[0] for it in node.names} <= sys.stdlib_module_names
    (mount,) = [it for it in container("keeper")["volume_mounts"] if it["name"] == "keeper"]
    assert mount["mount_path"] == "/opt/keeper/infra/redis_keeper"


def test_figures_are_told_to_prometheus_only_where_somebody_measures(run):
    assert "exporter" not in {it["name"] for _, pod in run.pods() for it in pod["containers"]}
    measured = replace(CONFIG, exporter_image="exporter@sha256:0")
    for pod in (redis_pods.state_pod_spec(measured), redis_pods.cache_pod_spec(measured)):
        exporter = pod["containers"][-1]
        assert exporter["ports"] == [{"name": "metrics", "container_port": 9121}]
        assert "--redis.password-file=/run/secrets/redis/exporter.json" in exporter["args"]
        assert "--redis.addr=rediss://127.0.0.1:6379" in exporter["args"]
        assert "--tls-ca-cert-file=/run/secrets/redis-tls/ca.crt" in exporter["args"]
        assert not [it for it in exporter["args"] if "skip-tls-verification" in it]
    assert json.loads(redis_files.exporter_passwords("secret")) == {"rediss://metrics@127.0.0.1:6379": "secret"}


def test_no_container_may_do_more_than_it_needs(run):
    for _, pod in run.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for found in pod["containers"]:
            assert found["securityContext"]["readOnlyRootFilesystem"] is True
            assert "env" not in found or not [it for it in found["env"] if "plain" in str(it)]
