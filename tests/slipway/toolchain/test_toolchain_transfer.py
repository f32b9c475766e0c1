"""Carrying the cache to a machine without registries."""

import json
import os
import tarfile

import pytest

from slipway.toolchain.cache import Cache
from slipway.toolchain.manifest import key_of
from slipway.toolchain.transfer import INDEX, TransferError, export_cache, import_cache


@pytest.fixture
def cache(tmp_path):
    """A cache with two entries that share a file on the disk, and one with links."""
    cache = Cache(tmp_path / "cache")

    def first(files):
        (files / "layer").write_bytes(b"layer" * 1000)
        (files / "run").write_text("#!/bin/sh\n")
        (files / "run").chmod(0o755)

    one = cache.get_or_make("one", {"it": 1}, key_of({"it": 1}), first)

    def second(files):
        (files / "blobs").mkdir()
        os.link(one.files / "layer", files / "blobs/layer")
        (files / "link").symlink_to("blobs/layer")

    cache.get_or_make("two", {"it": 2}, key_of({"it": 2}), second)
    return cache


@pytest.fixture
def exported(cache, tmp_path):
    return export_cache(cache.entries(), tmp_path / "cache.tar")


@pytest.fixture
def empty(tmp_path):
    return Cache(tmp_path / "other")


def test_everything_arrives_whole(cache, exported, empty):
    imported = import_cache(empty, exported.file)
    assert imported.sha256 == exported.sha256
    assert imported.entries == imported.new == exported.entries
    for entry in cache.entries():
        found = empty.find(entry.manifest.name, entry.manifest.key, thorough=True)
        assert found is not None
        assert found.manifest == entry.manifest


def test_what_is_one_file_on_the_disk_stays_one(cache, exported, empty):
    assert exported.size < 2 * len(b"layer" * 1000) + 20_000
    import_cache(empty, exported.file)
    two = empty.find("two", key_of({"it": 2}))
    assert two is not None
    assert (two.files / "blobs/layer").stat().st_nlink == 2
    assert cache.root != empty.root


def test_the_same_cache_gives_the_same_file(cache, exported, tmp_path):
    again = export_cache(reversed(list(cache.entries())), tmp_path / "again.tar")
    assert again.sha256 == exported.sha256


def test_what_is_there_is_left(exported, empty):
    import_cache(empty, exported.file)
    assert import_cache(empty, exported.file).new == ()


def test_what_is_there_but_damaged_is_replaced(exported, empty):
    import_cache(empty, exported.file)
    one = empty.find("one", key_of({"it": 1}))
    assert one is not None
    (one.files / "run").write_text("#!/bin/ah\n")
    assert len(import_cache(empty, exported.file).new) == 1
    assert (one.files / "run").read_text() == "#!/bin/sh\n"


def test_imported_entries_are_marked(exported, empty):
    import_cache(empty, exported.file)
    assert empty.find_imported("one", {"it": None}, apart_from="it") is not None


def test_a_damaged_entry_is_not_exported(cache, tmp_path):
    one = cache.find("one", key_of({"it": 1}))
    (one.files / "layer").write_bytes(b"LAYER" * 1000)
    with pytest.raises(TransferError, match="is damaged: "):
        export_cache(cache.entries(), tmp_path / "cache.tar")
    assert not (tmp_path / "cache.tar").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_cut_off_file_is_refused(exported, empty, share):
    last = exported.file.read_bytes().rindex(b"#!/bin/sh")  # what follows is padding and links
    os.truncate(exported.file, int(last * share))
    with pytest.raises(TransferError):
        import_cache(empty, exported.file)
    assert list((empty.root / "partial").glob("*")) == []


def test_a_changed_byte_is_found(exported, empty):
    raw = exported.file.read_bytes()
    position = raw.index(b"layerlayer")
    exported.file.write_bytes(raw[:position] + b"L" + raw[position + 1 :])
    with pytest.raises(TransferError, match="other content than was written"):
        import_cache(empty, exported.file)


def rewrite(exported, change):
    """The tar again, with a changed index."""
    with tarfile.open(exported.file) as tar:
        index = json.loads(tar.extractfile(INDEX).read())
    change(index)
    text = json.dumps(index).encode()
    path = exported.file.with_name("forged.tar")
    with tarfile.open(path, "w") as out, tarfile.open(exported.file) as tar:
        for member in tar:
            if member.name == INDEX:
                member.size = len(text)
                (exported.file.parent / INDEX).write_bytes(text)
                with (exported.file.parent / INDEX).open("rb") as stream:
                    out.addfile(member, stream)
            else:
                out.addfile(member, tar.extractfile(member) if member.isreg() else None)
    return path


def set_place(place):
    return lambda index: index["entries"][0].update(place=place)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_place("../out"), "is not the place of an entry"),
        (set_place("a/b/c"), "is not the place of an entry"),
        (set_place("three/0123"), "is not in the file"),
        (lambda index: index["entries"][0].update(manifest="0" * 64), "not the one that was exported"),
        (lambda index: index.update(format=9), "format 9"),
        (lambda index: index.pop("entries"), "cannot be read"),
    ],
)
def test_an_index_that_is_not_ours_is_refused(exported, empty, change, message):
    with pytest.raises(TransferError, match=message):
        import_cache(empty, rewrite(exported, change))


def test_something_else_is_refused(tmp_path, empty):
    (tmp_path / "notes.txt").write_text("hello" * 1000)
    with pytest.raises(TransferError, match="cannot be read as an export"):
        import_cache(empty, tmp_path / "notes.txt")
    with pytest.raises(TransferError, match="cannot be imported"):
        import_cache(empty, tmp_path / "not-there.tar")
