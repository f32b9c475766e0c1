"""Network policies: closed, with the openings that are named and no others."""

import pulumi

from infra.components import network
from infra.components.redis import Redis, RedisConfig
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


def test_redis_is_reached_by_services_and_by_nobody_else(deploy):
    def program():
        namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace", "data", {})
        small = PROFILES[ProfileName.SMALL]
        Redis("redis", RedisConfig(namespace, "redis@sha256:0", small, "standard", "password", 10))

    rules = deploy(program).one("kubernetes:networking.k8s.io/v1:NetworkPolicy").inputs["spec"]
    assert rules["ingress"] == [
        {
            "from": [
                {
                    "namespaceSelector": {
                        "matchExpressions": [
                            {
                                "key": "kubernetes.io/metadata.name",
                                "operator": "In",
                                "values": ["dev", "staging", "production"],
                            }
                        ]
                    }
                }
            ],
            "ports": [{"port": 6379, "protocol": "TCP"}],
        }
    ]
