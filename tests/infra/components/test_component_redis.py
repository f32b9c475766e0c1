"""Redis: three members that survive, a cache that may not, passwords in no command line, new pods for new programs."""

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest

from infra.components import redis, redis_files
from infra.components.redis import Redis, RedisConfig, RedisPasswords
from infra.profiles import PROFILES, ProfileName

PROFILE = PROFILES[ProfileName.SMALL]
PASSWORDS = RedisPasswords("plain-service", "plain-keeper", "plain-metrics")
CONFIG = RedisConfig(None, "redis@sha256:0", "python@sha256:0", PROFILE, "standard", PASSWORDS, 10)
SECRET_PASSWORDS = ("plain-service", "plain-keeper", "plain-metrics")


@pytest.fixture
def run(deploy):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "data", {})
        passwords = RedisPasswords(*map(pulumi.Output.secret, SECRET_PASSWORDS))
        return Redis("redis", replace(CONFIG, namespace=namespace, passwords=passwords))

    return deploy(program)


def members(run):
    return run.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]


def container(name):
    return {it["name"]: it for it in redis.state_pod_spec(CONFIG)["containers"]}[name]


def test_these_resources_exist_and_no_others(run):
    assert run.counts() == {
        "kubernetes:apps/v1:Deployment": 1,
        "kubernetes:apps/v1:StatefulSet": 1,
        "kubernetes:core/v1:ConfigMap": 3,
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:core/v1:Secret": 2,
        "kubernetes:core/v1:Service": 5,
        "kubernetes:networking.k8s.io/v1:NetworkPolicy": 2,
        "kubernetes:policy/v1:PodDisruptionBudget": 1,
    }


@pytest.mark.parametrize("number", range(3))
def test_each_member_has_an_address_that_stays(run, number):
    service = run.one("kubernetes:core/v1:Service", f"redis-{number}").inputs["spec"]
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"] == members(run)["selector"]["matchLabels"] | {
        "statefulset.kubernetes.io/pod-name": f"redis-{number}"
    }
    assert {it["name"]: it["port"] for it in service["ports"]} == {"redis": 6379, "sentinel": 26379}


def test_there_are_three_members_on_different_nodes_started_at_once(run):
    spec = members(run)
    assert (spec["replicas"], spec["podManagementPolicy"], spec["serviceName"]) == (3, "Parallel", "redis")
    assert run.one("kubernetes:core/v1:Service", "redis").inputs["spec"]["clusterIP"] == "None"
    (constraint,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]


def test_one_member_at_a_time_may_be_taken(run):
    budget = run.one("kubernetes:policy/v1:PodDisruptionBudget").inputs["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == members(run)["selector"]


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


def test_a_member_is_ready_when_it_has_a_role_and_lives_when_it_accepts():
    found = container("redis")
    asked = found["readiness_probe"]["exec_"]["command"][2]
    assert "INFO replication" in asked
    assert "role:master|master_link_status:up" in asked
    assert "tcp_socket" in found["liveness_probe"]
    assert "tcp_socket" in container("sentinel")["liveness_probe"]


def test_the_keeper_is_told_of_all_members_and_of_its_own_name():
    found = container("keeper")
    hosts = [f"redis-{number}.data.svc.cluster.local" for number in range(3)]
    assert f"--redis={','.join(f'{host}:6379' for host in hosts)}" in found["args"]
    assert f"--sentinels={','.join(f'{host}:26379' for host in hosts)}" in found["args"]
    assert "--ordinal=$(POD)" in found["args"]
    assert found["image"] == "python@sha256:0"


def test_the_keeper_needs_nothing_but_the_standard_library_and_itself(run):
    programs = run.one("kubernetes:core/v1:ConfigMap", "redis-keeper").inputs["data"]
    assert {"__init__.py", "__main__.py", "decision.py", "keeper.py", "links.py", "wire.py"} == set(programs)
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
    for pod in (redis.state_pod_spec(measured), redis.cache_pod_spec(measured)):
        exporter = pod["containers"][-1]
        assert exporter["ports"] == [{"name": "metrics", "container_port": 9121}]
        assert "--redis.password-file=/run/secrets/redis/exporter.json" in exporter["args"]
    assert json.loads(redis_files.exporter_passwords("secret")) == {"redis://metrics@127.0.0.1:6379": "secret"}


def test_no_container_may_do_more_than_it_needs(run):
    for _, pod in run.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for found in pod["containers"]:
            assert found["securityContext"]["readOnlyRootFilesystem"] is True
            assert "env" not in found or not [it for it in found["env"] if "plain" in str(it)]
