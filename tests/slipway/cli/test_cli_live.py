import json

import pytest

from slipway.cli.live import CONFIG_BACKEND, NO_RETRIES, service_labels, stable_colour, without_protection
from slipway.node.errors import NodeError

LIFECYCLE = {"preStop": {"sleep": {"seconds": 12}}}


class Cluster:
    """A Service and a Deployment behind the few words of kubectl that are used."""

    def __init__(self):
        self.annotation = "retry-on conn-failure\nretries 3\n"
        self.lifecycle = LIFECYCLE
        self.rollouts = 0

    def __call__(self, *words):
        match words[:2]:
            case ("get", "service"):
                return json.dumps({"metadata": {"annotations": {CONFIG_BACKEND: self.annotation}}})
            case ("get", "deployment"):
                assert words[2] == "payload-green"
                container = {"lifecycle": self.lifecycle} if self.lifecycle else {}
                return json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
            case ("annotate", "service"):
                self.annotation = words[-1].partition("=")[2]
            case ("patch", "deployment"):
                [change] = json.loads(words[-1].partition("=")[2])
                self.lifecycle = change["value"] or None
            case ("rollout", "status"):
                self.rollouts += 1
            case _:
                pytest.fail(f"unexpected: {words}")
        return ""


def test_the_protection_goes_off_and_comes_back_as_it_was():
    cluster = Cluster()
    before = cluster.annotation
    switch = without_protection(cluster, "dev", "green")
    switch.inject()
    assert (cluster.annotation, cluster.lifecycle, cluster.rollouts) == (NO_RETRIES, None, 1)
    switch.heal()
    assert (cluster.annotation, cluster.lifecycle, cluster.rollouts) == (before, LIFECYCLE, 2)


def test_healing_what_was_never_off_changes_nothing():
    cluster = Cluster()
    without_protection(cluster, "dev", "blue").heal()
    assert (cluster.lifecycle, cluster.rollouts) == (LIFECYCLE, 0)


def test_pods_of_the_service_are_found_by_their_colour():
    assert service_labels("green") == {
        "app.kubernetes.io/name": "payload",
        "slipway.dev/colour": "green",
        "slipway.dev/role": "web",
    }


def test_the_colour_that_serves_is_the_promoted_one():
    assert stable_colour(lambda *_: json.dumps({"status": {"stable": {"colour": "green"}}}), "dev") == "green"


def test_before_the_first_promotion_no_colour_serves():
    with pytest.raises(NodeError, match="no version of payload in dev serves yet"):
        stable_colour(lambda *_: json.dumps({"spec": {}}), "dev")
