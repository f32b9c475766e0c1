"""The cache: complete or not there, whatever happened to the runs before."""

import os
import threading

import pytest

from slipway.toolchain import cache as cache_module
from slipway.toolchain.cache import Cache, default_cache_root
from slipway.toolchain.manifest import key_of

INPUTS = {"source": "a"}
KEY = key_of(INPUTS)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


class Maker:
    def __init__(self, content: bytes = b"result") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, files) -> None:
        self.calls += 1
        (files / "result").write_bytes(self.content)
        (files.parent / "scratch").mkdir()
        (files.parent / "scratch/leftover").write_text("x")


@pytest.fixture
def maker():
    return Maker()


def make(cache, maker):
    return cache.get_or_make("it", INPUTS, KEY, maker)


def test_a_result_is_made_once(cache, maker):
    first = make(cache, maker)
    second = make(cache, maker)
    assert maker.calls == 1
    assert first.files == second.files
    assert (second.files / "result").read_bytes() == b"result"


def test_scratch_space_is_not_kept(cache, maker):
    entry = make(cache, maker)
    assert sorted(path.name for path in entry.files.parent.iterdir()) == ["files", "manifest.json", "verified"]
    assert list((cache.root / "partial").iterdir()) == []


def test_another_key_is_another_result(cache, maker):
    make(cache, maker)
    other = {"source": "b"}
    assert cache.find("it", key_of(other)) is None
    cache.get_or_make("it", other, key_of(other), maker)
    assert maker.calls == 2


def test_a_failed_make_leaves_nothing(cache):
    def fails(files):
        (files / "half").write_text("half")
        raise RuntimeError("compiler")

    with pytest.raises(RuntimeError, match="compiler"):
        make(cache, fails)
    assert cache.find("it", KEY) is None
    assert list((cache.root / "partial").iterdir()) == []


def cut_short(entry):
    os.truncate(entry.files / "result", 2)


def lose_file(entry):
    (entry.files / "result").unlink()


def lose_manifest(entry):
    (entry.files.parent / "manifest.json").unlink()


def cut_manifest(entry):
    os.truncate(entry.files.parent / "manifest.json", 20)


@pytest.mark.parametrize("damage", [cut_short, lose_file, lose_manifest, cut_manifest])
def test_a_damaged_entry_is_made_again(cache, maker, damage):
    damage(make(cache, maker))
    assert cache.find("it", KEY) is None
    entry = make(cache, maker)
    assert maker.calls == 2
    assert (entry.files / "result").read_bytes() == b"result"


def flip(entry):
    (entry.files / "result").write_bytes(b"resulT")


def test_a_flipped_byte_is_found_when_asked_for(cache, maker):
    flip(make(cache, maker))
    assert cache.find("it", KEY) is not None
    assert cache.find("it", KEY, thorough=True) is None


def test_a_flipped_byte_is_found_after_the_machine_was_started_again(cache, maker, monkeypatch, tmp_path):
    flip(make(cache, maker))
    boot = tmp_path / "boot_id"
    boot.write_text("another boot")
    monkeypatch.setattr(cache_module, "_BOOT_ID", boot)
    assert cache.find("it", KEY) is None


def test_hashes_are_compared_once_a_boot(cache, maker, monkeypatch, tmp_path):
    entry = make(cache, maker)
    boot = tmp_path / "boot_id"
    boot.write_text("another boot")
    monkeypatch.setattr(cache_module, "_BOOT_ID", boot)
    assert cache.find("it", KEY) is not None
    assert (entry.files.parent / "verified").read_text() == "another boot"


def test_what_a_killed_run_left_is_swept(cache, maker):
    leftover = cache.root / "partial" / f"it-{KEY[:16]}-killed"
    leftover.mkdir(parents=True)
    other = cache.root / "partial" / "other-0123456789abcdef-running"
    other.mkdir()
    make(cache, maker)
    assert not leftover.exists()
    assert other.exists()


def test_a_half_written_entry_at_its_place_is_replaced(cache, maker):
    place = cache.place("it", KEY)
    (place / "files").mkdir(parents=True)
    (place / "files/result").write_bytes(b"res")
    entry = make(cache, maker)
    assert (entry.files / "result").read_bytes() == b"result"


def test_two_threads_that_want_the_same_make_it_once(cache):
    made, waited = [], threading.Event()

    def slow(files):
        made.append(1)
        assert waited.wait(20)
        (files / "result").write_text("x")

    def run():
        cache.get_or_make("it", INPUTS, KEY, slow, on_wait=lambda _who: waited.set())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert made == [1]


def test_an_imported_result_counts_although_one_input_differs(cache):
    inputs = {"source": "a", "go": "go1.26.6"}
    manifest = make_elsewhere(cache, inputs)
    here = {"source": "a", "go": "go1.27.0"}
    found = cache.find_imported("it", here, apart_from="go")
    assert found is not None
    assert found.manifest.key == manifest.key
    assert cache.find_imported("it", {"source": "b", "go": "go1.26.6"}, apart_from="go") is None


def test_a_result_of_this_machine_counts_for_its_inputs_only(cache, maker):
    inputs = {"source": "a", "go": "go1.26.6"}
    cache.get_or_make("it", inputs, key_of(inputs), maker)
    assert cache.find_imported("it", {"source": "a", "go": "go1.27.0"}, apart_from="go") is None


def make_elsewhere(cache, inputs):
    elsewhere = Cache(cache.root.with_name("elsewhere"))
    entry = elsewhere.get_or_make("it", inputs, key_of(inputs), Maker())

    def fill(files):
        (files / "result").write_bytes((entry.files / "result").read_bytes())

    cache.adopt(entry.manifest, fill)
    return entry.manifest


def test_the_bytes_are_on_the_disk_before_the_name_is(cache, maker, monkeypatch):
    seen = []

    def flush(folder):
        seen.append((sorted(path.name for path in folder.iterdir()), cache.place("it", KEY).exists()))

    monkeypatch.setattr(cache_module, "flush", flush)
    make(cache, maker)
    assert seen == [(["files", "manifest.json", "verified"], False)]


def test_entries_are_listed(cache, maker):
    make(cache, maker)
    assert [entry.manifest.name for entry in cache.entries()] == ["it"]


def test_the_cache_is_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_root() == tmp_path / "slipway/toolchain"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_root() == tmp_path / "home/.cache/slipway/toolchain"
