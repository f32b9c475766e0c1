"""Where Pulumi finds its programs and keeps its state."""

import os
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from pulumi.automation import OpType

from infra.engine import Engine, Place
from infra.naming import Project


def test_the_passphrase_is_made_once_and_for_the_owner_alone(tmp_path):
    place = Place(tmp_path / "programs", tmp_path / "state")
    place.prepare(None)
    first = place.passphrase_file.read_text()
    place.prepare(None)
    assert place.passphrase_file.read_text() == first
    assert stat.S_IMODE(place.passphrase_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700


def test_pulumi_finds_no_folder_for_its_log_also_where_one_was(tmp_path):
    place = Place(tmp_path / "programs", tmp_path / "state")
    logs = place.state / "home" / "logs"
    logs.mkdir(parents=True)
    (logs / "pulumi-1.log").write_text("every property of everything")
    place.prepare(None)
    place.prepare(None)
    assert logs.is_file()
    assert logs.read_bytes() == b""


def test_kubeconfigs_that_the_provider_leaves_are_kept_apart_and_removed_a_day_later(tmp_path):
    place = Place(tmp_path / "programs", tmp_path / "state")
    place.prepare(None)
    assert place.environment()["TMPDIR"] == str(place.scratch)
    assert stat.S_IMODE(place.scratch.stat().st_mode) == 0o700
    old, fresh = place.scratch / "kubeconfig1", place.scratch / "kubeconfig2"
    for file in (old, fresh):
        file.write_text("secret")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    place.prepare(None)
    assert (old.exists(), fresh.exists()) == (False, True)


#: What the library does when its program dies in mid-run, as it does when somebody interrupts both.
CUT_OFF = """
{engine}
from pulumi.automation._stack import _EventsServicer

def events():
    raise ConnectionError("cut off")
    yield

_EventsServicer(print).StreamEvents(events(), None)
"""


@pytest.mark.parametrize(("engine", "told"), [("import infra.engine", False), ("", True)])
def test_who_interrupts_a_run_reads_no_warning_of_the_library(engine, told):
    program = (sys.executable, "-c", CUT_OFF.format(engine=engine))
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    assert ("Error in event stream: cut off" in done.stderr) == told


@pytest.mark.parametrize(
    ("summary", "changes", "unchanged"),
    [
        ({"same": 3, "update": 0}, {"same": 3, "update": 0}, True),
        ({"same": 3, "update": 1}, {"same": 3, "update": 1}, False),
        ({OpType.SAME: 3, OpType.READ: 1}, {"same": 3, "read": 1}, True),
    ],
)
def test_a_preview_counts_by_operation_and_refreshes_if_asked(monkeypatch, tmp_path, summary, changes, unchanged):
    asked = []

    def preview(**options):
        asked.append(options["refresh"])
        return SimpleNamespace(change_summary=summary)

    monkeypatch.setenv("PATH", "/bin")  # the engine puts Pulumi before it
    engine = Engine(Place(tmp_path / "programs", tmp_path / "state"))
    monkeypatch.setattr(engine, "_stack", lambda _project, _stack: SimpleNamespace(preview=preview))
    assert engine.unchanged(Project.CLUSTER, "c") is unchanged
    told = engine.preview(Project.CLUSTER, "c", refresh=True)
    assert told == changes
    assert all(type(kind) is str for kind in told)
    assert asked == [False, True]


def test_a_stack_is_dropped_with_what_it_has_set_unless_that_is_to_stay(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/bin")  # the engine puts Pulumi before it
    engine, removed = Engine(Place(tmp_path / "programs", tmp_path / "state")), []
    values = {"slipway-platform:backups": "external", "pulumi:disable-default-providers": "[]"}
    stack = SimpleNamespace(
        cancel=lambda: None,
        get_all_config=lambda: {key: SimpleNamespace(value=value) for key, value in values.items()},
    )
    monkeypatch.setattr(engine, "stacks", lambda _project: ["c"])
    monkeypatch.setattr(engine, "_stack", lambda _project, _stack: stack)
    workspace = SimpleNamespace(remove_stack=lambda name, **options: removed.append((name, options["preserve_config"])))
    monkeypatch.setattr(engine, "_workspace", lambda _project: workspace)
    assert engine.settings(Project.PLATFORM, "c") == {"backups": "external"}
    assert engine.settings(Project.PLATFORM, "other") == {}
    engine.forget(Project.PLATFORM, "c")
    engine.forget(Project.PLATFORM, "c", keep_settings=True)
    engine.forget(Project.PLATFORM, "other")
    assert removed == [("c", False), ("c", True)]


def test_what_a_state_holds_is_told_by_type_also_if_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/bin")  # the engine puts Pulumi before it
    engine = Engine(Place(tmp_path / "programs", tmp_path / "state"))
    state = {"resources": [{"type": "aws:ec2/vpc:Vpc"}, {"type": "aws:ec2/vpc:Vpc"}, {"type": "pulumi:pulumi:Stack"}]}
    monkeypatch.setattr(engine, "stacks", lambda _project: ["c", "empty"])
    states = {"c": state, "empty": None}
    monkeypatch.setattr(
        engine,
        "_stack",
        lambda _project, stack: SimpleNamespace(export_stack=lambda: SimpleNamespace(deployment=states[stack])),
    )
    assert engine.types(Project.CLUSTER, "c") == {"aws:ec2/vpc:Vpc", "pulumi:pulumi:Stack"}
    assert engine.types(Project.CLUSTER, "empty") == frozenset()
    assert engine.types(Project.CLUSTER, "other") == frozenset()
