"""A cluster that is lost and made anew: what is refused, what is kept for an interruption, what is made when."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from infra.naming import Environment, Project
from infra.settings import PlatformSettings
from infra.settings.reading import parse
from slipway.cli import drill, rebuilt
from slipway.cli.rebuilt import ClusterEstate, Intent, Record, intend, successor, wanted
from slipway.proof.rebuild import Lost

NOW = datetime(2026, 11, 28, 21, 30, 5, tzinfo=UTC)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "backup-store", "namespace": "data"}}
EXTERNAL = {
    "profile": "small",
    "backups": "external",
    "backupsExternal": json.dumps({"path": "s3://postgres", "secret": "backup-store"}),
}
INTENT = Intent("it", "dev", ("dev", "staging"), "embedded", "postgres", "postgres-20261128-213005")


class Engine:
    """Stacks with what they have set, and what was brought up."""

    def __init__(self, platform, cluster=None):
        self.set = {Project.PLATFORM: platform, Project.CLUSTER: cluster or {}}
        self.ups = []

    def settings(self, project, _stack):
        return self.set[project]

    def stacks_of(self, cluster):
        yield Project.SERVICE, f"{cluster}-dev"
        yield Project.SERVICE, f"{cluster}-staging"
        yield Project.PLATFORM, cluster
        yield Project.CLUSTER, cluster

    def outputs(self, project, _stack):
        return {Project.PLATFORM: {"domain": "x.test"}, Project.SERVICE: {"accessKey": "k"}}[project]

    def up(self, project, stack, settings, _on_event):
        self.ups.append((project, stack, settings))


def tools_of(engine):
    return SimpleNamespace(engine=engine, progress=SimpleNamespace(step=lambda _text: None, engine_event=None))


@pytest.mark.parametrize("before", ["postgres", "postgres-20260101-000000"])
def test_the_archive_after_another_has_a_name_that_is_new(before):
    assert successor(before, NOW) == "postgres-20261128-213005"


def test_what_is_intended_is_read_from_the_stacks():
    found = intend(tools_of(Engine(EXTERNAL)), "it", Environment.DEV, [SECRET], NOW)
    assert found == INTENT
    kind = intend(tools_of(Engine(EXTERNAL, {"target": "kind"})), "it", Environment.DEV, [SECRET], NOW)
    assert kind.target == "kind"


@pytest.mark.parametrize("backups", [{"backups": "managed"}, {"backups": "off"}, {}])
def test_a_store_that_goes_with_the_cluster_is_refused(backups):
    with pytest.raises(click.ClickException, match="They must be in a store elsewhere"):
        intend(tools_of(Engine({"profile": "small", **backups})), "it", Environment.DEV, [SECRET], NOW)


def test_without_the_secret_of_the_store_nothing_is_lost():
    other = {**SECRET, "metadata": {"name": "backup-store", "namespace": "dev"}}
    with pytest.raises(click.ClickException, match="the objects hold no Secret 'backup-store' in data"):
        intend(tools_of(Engine(EXTERNAL)), "it", Environment.DEV, [other], NOW)


def test_the_new_cluster_is_as_the_old_one_but_for_its_archive():
    made = wanted(INTENT, [SECRET])
    assert (made.target, made.environment, list(made.objects)) == ("auto", Environment.DEV, [SECRET])
    assert made.settings[Project.CLUSTER] == made.settings[Project.SERVICE] == {}
    # What is set is what the platform takes, beside what it has set already.
    read = parse(PlatformSettings, "slipway-platform", {**EXTERNAL, **made.settings[Project.PLATFORM]})
    assert (read.backup_name, read.restore_from.name) == ("postgres-20261128-213005", "postgres")
    assert wanted(replace(INTENT, target="kind"), []).target == "kind"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuilt, "state_folder", lambda: tmp_path)
    return tmp_path


def test_what_must_be_known_after_an_interruption_is_kept(state):
    record, lost = Record("it"), Lost("abc", Path("/j"), 12.5)
    assert record.read() is None
    record.write(INTENT, lost)
    assert record.read() == (INTENT, lost)
    record.write(replace(INTENT, removed=True), lost)
    assert record.read()[0].removed
    assert [path.name for path in state.iterdir()] == ["rebuild-it.json"]
    record.remove()
    assert record.read() is None


@pytest.fixture
def made(state, monkeypatch):
    """An estate over fakes, and what was done in order; `breaks` names a step that is interrupted once."""
    done, breaks = [], []

    def step(name):
        done.append(name)
        if name in breaks:
            breaks.remove(name)
            raise KeyboardInterrupt

    def bring_up(_tools, what, _steps):
        step("up")
        assert what.settings[Project.PLATFORM]["backupName"] == INTENT.successor

    def take_down(_tools, cluster, *, keep_settings):
        assert (cluster, keep_settings) == ("it", True)
        step("down")

    monkeypatch.setattr(rebuilt, "bring_up", bring_up)
    monkeypatch.setattr(rebuilt, "take_down", take_down)
    monkeypatch.setattr(rebuilt.node, "exists", lambda _name: False)
    monkeypatch.setattr(ClusterEstate, "_reach", lambda _self: None)
    engine = Engine(EXTERNAL)
    estate = ClusterEstate(tools_of(engine), INTENT, [SECRET], state)
    return SimpleNamespace(estate=estate, done=done, breaks=breaks, engine=engine, tools=tools_of(engine))


def test_everything_is_removed_first_and_other_environments_come_last(made):
    made.estate.remember(Lost("abc", Path("/j"), 12.5))
    made.estate.rebuild()
    assert made.done == ["down", "up"]
    assert made.engine.ups == [(Project.SERVICE, "it-staging", {})]


def test_an_interruption_goes_on_and_does_not_remove_what_is_new(made, state):
    made.estate.remember(Lost("abc", Path("/j"), 12.5))
    made.breaks += ["down", "up"]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            ClusterEstate.left(made.tools, [SECRET], state, "it")[0].rebuild()
    estate, lost = ClusterEstate.left(made.tools, [SECRET], state, "it")
    estate.rebuild()
    assert made.done == ["down", "down", "up", "up"]
    assert lost == Lost("abc", Path("/j"), 12.5)
    estate.done()
    assert ClusterEstate.left(made.tools, [SECRET], state, "it") is None


def test_where_no_plug_can_be_pulled_everything_is_taken_down(made):
    made.estate.lose()
    assert made.done == ["down"]


def test_on_this_machine_the_plug_is_pulled(made, monkeypatch):
    killed = []
    monkeypatch.setattr(rebuilt.node, "exists", lambda _name: True)
    monkeypatch.setattr(rebuilt, "load", lambda name: f"spec of {name}")
    monkeypatch.setattr(rebuilt, "kill", killed.append)
    made.estate.lose()
    assert (killed, made.done) == (["spec of it"], [])


def test_without_a_yes_nothing_is_even_looked_at(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("looked at")

    monkeypatch.setattr(drill, "Tools", never)
    monkeypatch.setattr(drill, "ClusterEstate", SimpleNamespace(left=never))
    path = tmp_path / "objects.json"
    path.write_text(json.dumps(SECRET))
    done = CliRunner().invoke(drill.command, ["rebuild", "--cluster", "it", "--objects", str(path)])
    assert done.exit_code == 2
    assert "cluster 'it' is destroyed by this drill" in done.output
