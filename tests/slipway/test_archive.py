"""One file with everything: whole or refused, and nobody else's to read."""

import tarfile

import pytest

from slipway import archive
from slipway.archive import ArchiveError


@pytest.fixture
def packed(tmp_path):
    folder = tmp_path / "from"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys/ca.key").write_text("a secret")
    (folder / "keys/ca.key").chmod(0o600)
    (folder / "state.json").write_text("{}" * 5000)
    digest = archive.pack(folder, tmp_path / "all.tar", {"cluster": "it"})
    return tmp_path / "all.tar", digest


def test_everything_comes_back_for_its_owner_alone(packed, tmp_path):
    file, digest = packed
    assert len(digest) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "to").mkdir()
    assert archive.unpack(file, tmp_path / "to")["cluster"] == "it"
    assert (tmp_path / "to/keys/ca.key").read_text() == "a secret"
    assert (tmp_path / "to/keys/ca.key").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.partial"))


def test_a_changed_byte_is_found(packed, tmp_path):
    raw = packed[0].read_bytes()
    packed[0].write_bytes(raw.replace(b"a secret", b"A secret"))
    with pytest.raises(ArchiveError, match=r"is damaged: keys/ca.key is not what was packed"):
        archive.unpack(packed[0], tmp_path / "to")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_cut_off_file_is_refused(packed, tmp_path, share):
    raw = packed[0].read_bytes()
    packed[0].write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(ArchiveError):
        archive.unpack(packed[0], tmp_path / "to")


def test_what_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(tmp_path / "evil", "../evil2")
    (tmp_path / "deep/to").mkdir(parents=True)
    with pytest.raises(ArchiveError, match="cannot be read"):
        archive.unpack(tmp_path / "all.tar", tmp_path / "deep/to")
    assert not (tmp_path / "deep/evil2").exists()


def test_something_else_is_refused(tmp_path):
    (tmp_path / "notes").write_text("hello" * 1000)
    with pytest.raises(ArchiveError, match="cannot be read as an archive of `slipway recovery save`"):
        archive.unpack(tmp_path / "notes", tmp_path / "to")
