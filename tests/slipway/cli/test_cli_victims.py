from dataclasses import replace

import pytest

from infra import naming
from slipway.cli.live import INGRESS
from slipway.cli.victims import victims, whole
from slipway.proof.kube import Container, KubeError, Pod
from slipway.rollout.status import Colour


def pod(name, *, restarts=0, ready=True, leaving=False):
    container = Container(INGRESS.container, name * 3, ready, restarts)
    return Pod(INGRESS.namespace, name, name, "node1", "10.0.0.1", ready, leaving, INGRESS.labels, (container,))


class Kube:
    def __init__(self, *pods):
        self.all = pods

    def pods(self, namespace, _labels):
        return tuple(one for one in self.all if one.namespace == namespace)


def test_the_container_that_was_started_least_often_is_killed():
    """A kubelet makes who was killed often wait minutes."""
    kube = Kube(pod("a", restarts=2), pod("b", restarts=1), pod("c", restarts=1))
    made = victims(lambda *_: "", kube, lambda *_: "", None, "dev")
    for name in ("ingress-controller", "haproxy"):
        assert made[name](Colour.BLUE, Colour.GREEN).pod.name == "b"


@pytest.mark.parametrize(
    ("pods", "answer"),
    [
        ([pod("a"), pod("b")], True),
        ([pod("a"), pod("b", ready=False)], False),
        ([pod("a"), pod("b", ready=False, leaving=True)], True),
        ([], True),
    ],
)
def test_all_is_whole_when_each_pod_is_ready(pods, answer):
    assert whole(Kube(*pods)) is answer


def test_an_api_that_does_not_answer_is_not_whole():
    class Away(Kube):
        def pods(self, *_):
            raise KubeError("refused")

    assert not whole(Away())


@pytest.mark.parametrize("namespace", [naming.Namespace.ROLLOUT.value, naming.Namespace.MONITORING.value])
def test_controllers_and_prometheus_count_too(namespace):
    assert not whole(Kube(pod("a"), replace(pod("b", ready=False), namespace=namespace)))
