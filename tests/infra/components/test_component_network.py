"""Network policies: closed, with the openings that are named and no others."""

import pulumi

from infra import tls
from infra.components import network
from infra.components.certificates import Authority
from infra.components.redis import Redis
from infra.components.redis_pods import RedisConfig, RedisPasswords
from infra.labels import selector
from infra.profiles import PROFILES, ProfileName


def test_nobody_may_reach_a_workload_without_a_rule():
    assert network.reached_by("redis", []) == {
        "pod_selector": {
            "match_labels": {"app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": "redis"},
        },
        "policy_types": ["Ingress"],
        "ingress": [],
    }


def test_a_rule_without_a_source_is_for_everyone():
    assert network.from_anywhere([80]) == {"ports": [{"port": 80, "protocol": "TCP"}]}


def test_redis_is_reached_by_services_and_by_its_own_members_and_by_nobody_else(deploy):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "data", {})
        small = PROFILES[ProfileName.SMALL]
        passwords = RedisPasswords("service", "keeper", "metrics")
        authority = Authority.of(tls.KeyPair("authority", "key"))
        Redis(
            "redis",
            RedisConfig(namespace, "redis@sha256:0", "python@sha256:0", small, "standard", passwords, authority, 10),
        )

    run = deploy(program)
    services = {
        "namespaceSelector": {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["dev", "staging", "production"]}
            ]
        }
    }
    redis, sentinel = ({"port": port, "protocol": "TCP"} for port in (6379, 26379))
    members = {"matchLabels": selector("redis")}
    rules = run.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", "redis").inputs["spec"]
    assert rules["ingress"] == [
        {"from": [services], "ports": [redis, sentinel]},
        {"from": [{"podSelector": members}], "ports": [redis, sentinel]},
    ]
    rules = run.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", "redis-cache").inputs["spec"]
    assert rules["ingress"] == [{"from": [services], "ports": [redis]}]
