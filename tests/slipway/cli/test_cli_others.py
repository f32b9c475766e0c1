"""A cluster of others: what is told to its stacks, and what `slipway down` leaves standing."""

from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from infra.naming import Project
from slipway.cli import down
from slipway.cli.up import by_project

STACKS = [(Project.SERVICE, "it-dev"), (Project.PLATFORM, "it"), (Project.CLUSTER, "it")]


class Engine:
    """Remembers what it was asked for."""

    def __init__(self, identifier, types=()):
        self.identifier = identifier
        self.made = frozenset(types)
        self.left = list(STACKS)
        self.done, self.kept = [], None

    def outputs(self, project, stack):
        assert (project, stack) == (Project.CLUSTER, "it")
        return {"identifier": self.identifier} if self.identifier else {}

    def types(self, project, stack):
        assert (project, stack) == (Project.CLUSTER, "it")
        return self.made

    def stacks_of(self, cluster):
        assert cluster == "it"
        return iter(self.left)

    def destroy(self, project, stack, _on_event):
        self.done.append(("destroy", project, stack))

    def forget(self, project, stack, *, keep_settings):
        self.done.append(("forget", project, stack))
        self.left.remove((project, stack))
        self.kept = keep_settings


@pytest.fixture
def take_down(monkeypatch):
    def run(identifier, *arguments, residue=False, types=()):
        engine, removed = Engine(identifier, types), []

        def tools(progress):
            return SimpleNamespace(
                progress=progress,
                engine=engine,
                place=SimpleNamespace(),
                kubernetes_plugin=lambda: removed.append("pulumi-resource-kubernetes"),
            )

        monkeypatch.setattr(down, "Tools", tools)
        monkeypatch.setattr(down.residue, "find", lambda name: [name] if residue else [])
        monkeypatch.setattr(down.node, "destroy", lambda name, _progress: removed.append(f"cluster {name}"))
        monkeypatch.setattr(down.needs, "check", lambda _place: removed.append("checked"))
        monkeypatch.setattr(down.kind, "delete", lambda name: removed.append(f"{name} of kind"))
        result = CliRunner().invoke(down.command, ["--cluster", "it", *arguments])
        assert result.exit_code == 0, result.output
        assert engine.kept is ("--keep-settings" in arguments)
        return engine.done, removed

    return run


def test_from_a_cluster_of_others_each_thing_is_taken_off_the_last_one_first(take_down):
    done, removed = take_down("existing/0123456789abcdef")
    assert done == [(how, *it) for it in STACKS for how in ("destroy", "forget")]
    assert removed == ["pulumi-resource-kubernetes"]


def test_a_cluster_of_others_that_is_gone_is_forgotten(take_down):
    done, removed = take_down("existing/0123456789abcdef", "--forget")
    assert done == [("forget", project, stack) for project, stack in STACKS]
    assert removed == []


@pytest.mark.parametrize("identifier", ["embedded/it", None])
def test_an_own_cluster_is_removed_and_asked_nothing(take_down, identifier):
    done, removed = take_down(identifier, residue=True)
    assert done == [("forget", project, stack) for project, stack in STACKS]
    assert removed == ["cluster it"]


def test_a_cluster_of_kind_is_removed_by_kind_and_asked_nothing(take_down):
    done, removed = take_down("kind/it")
    assert done == [("forget", project, stack) for project, stack in STACKS]
    assert removed == ["it of kind"]


@pytest.mark.parametrize("identifier", ["eks/0123456789abcdef", None])
def test_what_is_at_aws_is_destroyed_the_last_made_first_also_if_up_has_failed(take_down, identifier):
    done, removed = take_down(identifier, types=["pulumi:pulumi:Stack", "aws:ec2/vpc:Vpc"])
    assert done == [(how, *it) for it in STACKS for how in ("destroy", "forget")]
    assert removed == ["checked", "pulumi-resource-kubernetes"]


def test_what_was_at_aws_and_is_gone_is_forgotten(take_down):
    done, removed = take_down("eks/0123456789abcdef", "--forget", types=["aws:ec2/vpc:Vpc"])
    assert done == [("forget", project, stack) for project, stack in STACKS]
    assert removed == []


@pytest.mark.parametrize("identifier", ["embedded/it", "existing/0123456789abcdef"])
def test_what_stacks_have_set_stays_if_it_is_asked_for(take_down, identifier):
    assert take_down(identifier, "--keep-settings", residue=True)[0]


def test_settings_go_to_their_project():
    given = [("slipway-platform:redis", "off"), ("slipway-cluster:existing", '{"a": "b:c"}')]
    assert by_project(given) == {
        Project.CLUSTER: {"existing": '{"a": "b:c"}'},
        Project.PLATFORM: {"redis": "off"},
        Project.SERVICE: {},
    }


@pytest.mark.parametrize("key", ["redis", "slipway:redis", "slipway-platform:", ""])
def test_a_setting_of_no_project_is_wrong_usage(key):
    with pytest.raises(click.UsageError, match=r"allowed are slipway-cluster:KEY, slipway-platform:KEY"):
        by_project([(key, "off")])
