"""Flags come from a file with a version, change without a restart, and never by a typing mistake."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.flags import FileProvider, Flag, FlagRule, Flags, FlagsError, is_on
from app.core.settings import SettingsError, load_settings

STREAMS = Flag.EXPORT_STREAMS


@pytest.fixture
def file(tmp_path):
    """Writes the file as a mounted ConfigMap changes: another one takes its place."""
    path = tmp_path / "flags.json"

    def write(version="1", *, text=None, **flags):
        new = tmp_path / "new"
        new.write_text(json.dumps({"version": version, "flags": flags}) if text is None else text)
        new.replace(path)
        return path

    return write


@pytest.fixture
def provider(file):
    clock = {"now": 0.0}
    made = FileProvider(file(**{STREAMS: {"on": False}}), lambda: clock["now"])

    def later(seconds=1.0):
        clock["now"] += seconds
        return made.resolve_boolean_details(STREAMS, default_value=True)

    return later


def test_without_a_file_every_flag_has_its_default():
    assert [Flags(None).on(STREAMS, "key:1", default=value) for value in (True, False)] == [True, False]


def test_a_flag_is_what_the_file_says_and_one_that_it_leaves_out_has_its_default(file):
    assert not Flags(file(**{STREAMS: {"on": False}})).on(STREAMS, "key:1", default=True)
    assert Flags(file(**{STREAMS: {"on": True}})).on(STREAMS, "key:1", default=False)
    assert [Flags(file()).on(STREAMS, "key:1", default=value) for value in (True, False)] == [True, False]


def test_two_applications_of_a_process_have_their_own_flags(file):
    off = Flags(file(**{STREAMS: {"on": False}}))
    Flags(file(**{STREAMS: {"on": True}}))
    assert not off.on(STREAMS, "key:1", default=True)


def test_a_changed_file_counts_within_a_second_and_names_its_version(provider, file):
    assert provider(0).value is False
    file("2", **{STREAMS: {"on": True}})
    assert provider(0.9).value is False
    found = provider(0.1)
    assert (found.value, found.variant, found.flag_metadata) == (True, "on", {"version": "2"})


@pytest.mark.parametrize("text", ["{", '{"version": "2", "flags": {"export-stream": {"on": true}}}', '{"flags": {}}'])
def test_a_mistake_switches_nothing_and_is_told_once(provider, file, caplog, text):
    file(text=text)
    assert [provider().value for _ in range(3)] == [False] * 3
    assert [record.message for record in caplog.records] == ["flags stay as they were"]
    file("3", **{STREAMS: {"on": True}})
    assert provider().value is True


def test_a_file_that_is_gone_switches_nothing(provider, file):
    os.unlink(file("2"))  # noqa: PTH108 - as a mount that is away
    assert provider().value is False


@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_more_percent_take_nobody_away(who, some, more):
    low, high = sorted((some, more))
    assert not is_on(STREAMS, FlagRule(on=True, percent=low), who) or is_on(
        STREAMS, FlagRule(on=True, percent=high), who
    )
    assert is_on(STREAMS, FlagRule(on=True), who)
    assert not is_on(STREAMS, FlagRule(on=True, percent=0), who)


def test_half_is_about_half():
    on = sum(is_on(STREAMS, FlagRule(on=True, percent=50), f"key:{number}") for number in range(2000))
    assert 850 < on < 1150


def test_a_file_that_is_wrong_at_the_start_is_refused(settings, monkeypatch, file):
    path = file(text='{"version": "1", "flags": {"unknown": {"on": true}}}')
    with pytest.raises(FlagsError, match="export-streams"):
        Flags(path)
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    monkeypatch.setenv("SLIPWAY_FLAGS_FILE", str(path))
    with pytest.raises(SettingsError, match="flags file"):
        load_settings()
