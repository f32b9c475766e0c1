"""Archives from the Maven repository: only the bytes that are pinned, and nothing outside of their folder."""

import hashlib
import zipfile

import pytest

from slipway.toolchain.images.recipe import Archive
from slipway.toolchain.images.recipes import RECIPES
from slipway.toolchain.maven import ArchiveError, fetch, unpack
from slipway.toolchain.processes import CommandFailedError

COORDINATES = "org.example:tool:1.2:zip"


@pytest.fixture
def maven(tmp_path):
    """A Maven that puts a file where it is told, as the real one does."""
    program = tmp_path / "mvn"
    program.write_text(
        "#!/bin/sh\n"
        'for it in "$@"; do case $it in -DoutputDirectory=*) to=${it#*=};; esac; done\n'
        'case "$*" in *missing*) echo "could not find artifact"; exit 1;; esac\n'
        'printf content > "$to/tool-1.2.zip"\n'
    )
    program.chmod(0o755)
    return str(program)


def test_the_pinned_archive_is_taken(maven, tmp_path):
    pinned = hashlib.sha256(b"content").hexdigest()
    path = fetch(COORDINATES, pinned, tmp_path / "to", program=maven)
    assert path == tmp_path / "to" / "tool-1.2.zip"
    assert path.read_bytes() == b"content"


def test_other_bytes_are_refused(maven, tmp_path):
    with pytest.raises(ArchiveError, match=r"org.example:tool:1.2:zip has sha256 [0-9a-f]{64}, but 0{64} is pinned"):
        fetch(COORDINATES, "0" * 64, tmp_path / "to", program=maven)


def test_what_maven_says_is_told(maven, tmp_path):
    with pytest.raises(CommandFailedError, match="could not find artifact"):
        fetch("org.example:missing:1:zip", "0" * 64, tmp_path / "to", program=maven)


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as content:
        for name in names:
            content.writestr(name, name)
    return path


def test_the_one_folder_of_an_archive_is_its_content(tmp_path):
    top = unpack(zipped(tmp_path / "a.zip", "tool-1.2/bin/run", "tool-1.2/lib/x"), tmp_path / "to")
    assert top == tmp_path / "to" / "tool-1.2"
    assert (top / "bin" / "run").read_text() == "tool-1.2/bin/run"


def test_an_archive_without_one_folder_is_taken_whole(tmp_path):
    assert unpack(zipped(tmp_path / "a.zip", "a", "b/c"), tmp_path / "to") == tmp_path / "to"


def test_a_name_that_leads_out_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ArchiveError, match=r"'\.\./evil', which leads out"):
        unpack(zipped(tmp_path / "a.zip", "fine", "../evil"), tmp_path / "to")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "to").exists()


def test_every_archive_of_a_recipe_is_named_exactly():
    archives = [it for recipe in RECIPES.values() for it in recipe.sources if isinstance(it, Archive)]
    assert archives
    for archive in archives:
        assert len(archive.coordinates.split(":")) == 4
        assert len(archive.sha256) == 64
        assert "SNAPSHOT" not in archive.coordinates
