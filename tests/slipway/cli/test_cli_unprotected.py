import json

import pytest

from infra.components import ingress
from infra.timeouts import TrafficTimeouts
from slipway.cli import unprotected
from slipway.cli.unprotected import CONFIG_BACKEND, NO_RETRIES

LIFECYCLE = {"preStop": {"sleep": {"seconds": 12}}}


class Cluster:
    """A Service and a Deployment behind the few words of kubectl that are used."""

    def __init__(self):
        self.annotation = "retry-on conn-failure\nretries 3\n"
        self.lifecycle = LIFECYCLE
        self.arguments = ["--sort-backends", "--wait-before-shutdown=12s", "--haproxy-grace-period=20s"]
        self.rollouts = 0

    def __call__(self, *words):
        match words[:2]:
            case ("get", "service"):
                return json.dumps({"metadata": {"annotations": {CONFIG_BACKEND: self.annotation}}})
            case ("get", "deployment"):
                container = {"args": self.arguments}
                if words[2] == "payload-green":
                    container = {"lifecycle": self.lifecycle} if self.lifecycle else {}
                return json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
            case ("annotate", "service"):
                self.annotation = words[-1].partition("=")[2]
            case ("patch", "deployment"):
                [change] = json.loads(words[-1].partition("=")[2])
                if words[2] == "haproxy":
                    self.arguments = change["value"]
                else:
                    self.lifecycle = change["value"] or None
            case ("rollout", "status"):
                self.rollouts += 1
            case _:
                pytest.fail(f"unexpected: {words}")
        return ""


def test_the_protection_goes_off_and_comes_back_as_it_was():
    cluster = Cluster()
    before = cluster.annotation
    switch = unprotected.service(cluster, "dev", "green")
    switch.inject()
    assert (cluster.annotation, cluster.lifecycle, cluster.rollouts) == (NO_RETRIES, None, 1)
    switch.heal()
    assert (cluster.annotation, cluster.lifecycle, cluster.rollouts) == (before, LIFECYCLE, 2)


def test_healing_what_was_never_off_changes_nothing():
    cluster = Cluster()
    unprotected.service(cluster, "dev", "blue").heal()
    assert (cluster.lifecycle, cluster.rollouts) == (LIFECYCLE, 0)


def test_a_haproxy_goes_at_once_and_waits_again_afterwards():
    cluster = Cluster()
    before = cluster.arguments
    switch = unprotected.ingress(cluster)
    switch.inject()
    assert cluster.arguments == ["--sort-backends", "--wait-before-shutdown=0s", "--haproxy-grace-period=0s"]
    switch.heal()
    assert (cluster.arguments, cluster.rollouts) == (before, 2)


def test_the_waits_that_are_turned_off_are_arguments_of_haproxy():
    """Renamed there, they would be turned off no more, and the control would prove nothing."""
    real = ingress.arguments(TrafficTimeouts())
    assert sum(unprotected.without_wait(argument) != argument for argument in real) == len(unprotected.INGRESS_WAITS)
