from pathlib import Path

import pytest

from infra.clusters import embedded
from slipway import node

SPEC = node.ClusterSpec()
ACCESS = node.Access(
    kubeconfig="the kubeconfig",
    registry="registry.slipway.test:5000",
    registry_push="10.123.0.2:5000",
    registry_certificates=Path("/certificates"),
    load_balancer_range="10.123.0.200-10.123.0.250",
    storage_class="standard",
)


class Stage:
    """Stands where `slipway.node` stands, and notes what it is asked to do."""

    def __init__(self):
        self.asked = []
        self.alive = True
        self.digest = "one"
        self.old = False

    def create(self, spec, _supplies, _progress):
        self.asked.append(("create", spec))
        return ACCESS

    def destroy(self, name, _progress):
        self.asked.append(("destroy", name))


@pytest.fixture
def stage(monkeypatch):
    it = Stage()
    monkeypatch.setattr(embedded.node, "create", it.create)
    monkeypatch.setattr(embedded.node, "destroy", it.destroy)
    monkeypatch.setattr(embedded.node, "healthy", lambda _spec: it.alive)
    monkeypatch.setattr(embedded.node, "fingerprint", lambda _spec, _stock: it.digest)
    monkeypatch.setattr(embedded.node, "aged", lambda _spec: it.old)
    monkeypatch.setattr(embedded.node, "exists", lambda _name: it.alive)
    return it


@pytest.fixture
def made(stage):
    result = embedded._Provider().create({"spec": SPEC.to_dict()})
    stage.asked.clear()
    return result


def test_creating_makes_the_cluster_and_hands_over_how_to_reach_it(stage):
    result = embedded._Provider().create({"spec": SPEC.to_dict()})
    assert result.id == SPEC.name
    assert stage.asked == [("create", SPEC)]
    assert result.outs["kubeconfig"] == "the kubeconfig"
    assert result.outs["identifier"] == "embedded/slipway"
    assert result.outs["registry_certificates"] == "/certificates"


def test_nothing_changes_while_the_cluster_lives_and_is_as_made(stage, made):
    assert not embedded._Provider().diff(made.id, made.outs, {"spec": SPEC.to_dict()}).changes
    assert stage.asked == []


def test_a_dead_cluster_is_a_change_so_that_up_starts_it_again(stage, made):
    stage.alive = False
    found = embedded._Provider().diff(made.id, made.outs, {"spec": SPEC.to_dict()})
    assert (found.changes, found.replaces) == (True, [])


def test_other_programs_or_add_ons_are_a_change_in_place(stage, made):
    stage.digest = "two"
    found = embedded._Provider().diff(made.id, made.outs, {"spec": SPEC.to_dict()})
    assert (found.changes, found.replaces) == (True, [])


def test_certificates_near_their_end_are_a_change_in_place(stage, made):
    stage.old = True
    found = embedded._Provider().diff(made.id, made.outs, {"spec": SPEC.to_dict()})
    assert (found.changes, found.replaces) == (True, [])


@pytest.mark.parametrize(
    ("settings", "replaced"),
    [
        ({"nodes": 2}, True),
        ({"network": "10.125.0.0/24"}, True),
        ({"service_network": "10.97.0.0/16"}, True),
        ({"timeouts": {"monitor_grace_period": 12, "monitor_period": 2, "lease_duration": 8}}, False),
    ],
)
def test_networks_and_fewer_nodes_replace_the_cluster_and_timeouts_do_not(made, settings, replaced):
    new = node.ClusterSpec.from_dict({**SPEC.to_dict(), **settings})
    found = embedded._Provider().diff(made.id, made.outs, {"spec": new.to_dict()})
    assert found.changes
    assert bool(found.replaces) is replaced
    assert found.delete_before_replace


@pytest.mark.usefixtures("stage")
def test_more_nodes_join_in_place():
    two = node.ClusterSpec(nodes=2)
    made = embedded._Provider().create({"spec": two.to_dict()})
    found = embedded._Provider().diff(made.id, made.outs, {"spec": SPEC.to_dict()})
    assert (found.changes, found.replaces) == (True, [])


def test_deleting_and_reading_go_by_the_name_alone(stage, made):
    provider = embedded._Provider()
    assert provider.read(made.id, made.outs).id == made.id
    stage.alive = False
    assert provider.read(made.id, made.outs).id is None
    provider.delete(made.id, made.outs)
    assert stage.asked == [("destroy", "slipway")]
