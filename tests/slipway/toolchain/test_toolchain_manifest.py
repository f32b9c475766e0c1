"""Keys and manifests: what the cache trusts."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.toolchain.manifest import FileFacts, Manifest, ManifestError, flush, key_of, problems, scan

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
inputs = st.dictionaries(st.text(), json_values, max_size=6)


@given(inputs)
def test_a_key_does_not_depend_on_the_order_of_its_inputs(given_inputs):
    assert key_of(given_inputs) == key_of(dict(reversed(given_inputs.items())))


@given(inputs, inputs)
def test_keys_are_equal_exactly_for_equal_inputs(one, other):
    # Through JSON, because that is what a key sees: True and 1 differ there.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key_of(one) == key_of(other)) == same


file_facts = st.builds(
    FileFacts,
    size=st.integers(0, 2**40),
    mode=st.integers(0, 0o777),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    link=st.none() | st.text(min_size=1),
)


@given(
    st.builds(
        Manifest,
        name=st.text(),
        key=st.text(),
        seconds=st.integers(0, 10**6).map(float),
        inputs=inputs,
        files=st.dictionaries(st.text(), file_facts, max_size=4),
    )
)
def test_a_manifest_survives_being_stored(manifest):
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(st.data())
def test_a_cut_off_manifest_is_not_read(data):
    text = Manifest("etcd", "k", 1.0, {}, {"etcd": FileFacts(1, 0o755, "0" * 64)}).to_json()
    with pytest.raises(ManifestError):
        Manifest.from_json(text[: data.draw(st.integers(0, len(text) - 1))])


def test_a_manifest_of_another_format_is_not_read():
    with pytest.raises(ManifestError, match="format 99"):
        Manifest.from_json('{"format": 99}')


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/etcd").write_bytes(b"program")
    (tmp_path / "bin/etcd").chmod(0o755)
    (tmp_path / "link").symlink_to("bin/etcd")
    (tmp_path / "folder-link").symlink_to("bin")
    return tmp_path


@pytest.fixture
def manifest(folder):
    return Manifest("it", "key", 0.0, {}, scan(folder))


def test_a_scan_sees_files_and_links(manifest):
    assert sorted(manifest.files) == ["bin/etcd", "folder-link", "link"]
    assert manifest.size == len(b"program")


def test_what_was_scanned_is_in_order(folder, manifest):
    assert problems(folder, manifest, thorough=True) == []


def damage_delete(folder):
    (folder / "bin/etcd").unlink()


def damage_truncate(folder):
    os.truncate(folder / "bin/etcd", 3)


def damage_mode(folder):
    (folder / "bin/etcd").chmod(0o644)


def damage_link(folder):
    (folder / "link").unlink()
    (folder / "link").symlink_to("elsewhere")


def damage_kind(folder):
    damage_delete(folder)
    (folder / "bin/etcd").mkdir()


@pytest.mark.parametrize("damage", [damage_delete, damage_truncate, damage_mode, damage_link, damage_kind])
def test_damage_is_seen_without_reading_every_byte(folder, manifest, damage):
    damage(folder)
    assert len(problems(folder, manifest, thorough=False)) == 1


def test_flushing_reaches_every_file_and_folder(folder, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    flush(folder)
    assert sorted(flushed) == [str(folder), str(folder / "bin"), str(folder / "bin/etcd")]


def test_a_changed_byte_is_seen_by_a_thorough_look(folder, manifest):
    (folder / "bin/etcd").write_bytes(b"pwogram")
    assert problems(folder, manifest, thorough=False) == []
    assert problems(folder, manifest, thorough=True) == ["bin/etcd has other content than was written"]
