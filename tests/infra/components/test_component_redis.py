"""Redis: one pod with a volume, a password that stands in no command line, and new pods for a new configuration."""

from dataclasses import replace

import pulumi
import pytest

from infra.components import redis
from infra.components.redis import Redis, RedisConfig
from infra.profiles import PROFILES, ProfileName

PROFILE = PROFILES[ProfileName.SMALL]
CONFIG = RedisConfig(None, "redis@sha256:0", PROFILE, "standard", "password", 10)


@pytest.fixture
def run(deploy):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "data", {})
        return Redis("redis", replace(CONFIG, namespace=namespace, password=pulumi.Output.secret("plain-password")))

    return deploy(program)


def test_these_resources_exist_and_no_others(run):
    assert run.counts() == {
        "kubernetes:apps/v1:StatefulSet": 1,
        "kubernetes:core/v1:ConfigMap": 1,
        "kubernetes:core/v1:Namespace": 1,
        "kubernetes:core/v1:Secret": 1,
        "kubernetes:core/v1:Service": 1,
        "kubernetes:networking.k8s.io/v1:NetworkPolicy": 1,
    }


def test_it_is_reached_under_its_name(run):
    service = run.one("kubernetes:core/v1:Service").inputs
    assert (service["metadata"]["namespace"], service["metadata"]["name"]) == ("data", "redis")
    assert service["spec"]["ports"] == [{"name": "redis", "port": 6379, "targetPort": "redis"}]
    stateful_set = run.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]
    assert service["spec"]["selector"] == stateful_set["selector"]["matchLabels"]


def test_the_password_is_in_a_secret_and_nowhere_else(run):
    secret = run.one("kubernetes:core/v1:Secret").inputs["stringData"]
    assert secret["password"] == "plain-password"
    assert secret["users.acl"] == "user default on >plain-password ~* &* +@all\n"
    assert not [text for text in run.plain_texts() if "plain-password" in text]
    pod = run.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]["template"]["spec"]
    assert "env" not in pod["containers"][0]


def test_data_is_on_a_volume_of_the_profiles_size(run):
    claim = run.one("kubernetes:apps/v1:StatefulSet").inputs["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "standard"
    assert claim["resources"]["requests"]["storage"] == PROFILE.redis_storage


def test_it_keeps_everything_and_asks_everyone_for_the_password():
    lines = redis.configuration_file(PROFILE).splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "aclfile /run/secrets/redis/users.acl"} <= set(lines)


def test_another_configuration_makes_another_pod():
    def content(profile):
        spec = redis.stateful_set_spec(replace(CONFIG, profile=profile))
        return spec["template"]["metadata"]["annotations"]["slipway.dev/content"]

    assert content(PROFILE) == content(PROFILE)
    assert content(PROFILE) != content(PROFILES[ProfileName.HA])


def test_only_readiness_asks_redis_itself():
    container = redis.stateful_set_spec(CONFIG)["template"]["spec"]["containers"][0]
    assert "tcp_socket" in container["liveness_probe"]
    assert "redis-cli ping" in container["readiness_probe"]["exec_"]["command"][2]
