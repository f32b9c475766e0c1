"""The cache in one file: everything that `up` asks for is in it, and it arrives."""

import pytest
from click.testing import CliRunner

from infra.images import CATALOGUE
from slipway.cli import cache, requirements
from slipway.toolchain.cache import Cache
from slipway.toolchain.manifest import key_of


class Toolchain:
    """A toolchain over a real cache, in which each name is a file of its own."""

    def __init__(self, root):
        self.cache, self.asked = Cache(root), []

    def entries(self, names):
        self.asked += names
        return [self.made(name) for name in names]

    def file_entries(self):
        return [self.made("file-metallb")]

    def made(self, name):
        inputs = {"name": name}
        return self.cache.get_or_make(name, inputs, key_of(inputs), lambda files: (files / "it").write_text(name))


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Runs the command on one of two machines."""
    toolchains = {name: Toolchain(tmp_path / name) for name in ("here", "there")}

    def run(name, *arguments):
        class Tools:
            def __init__(self, _progress):
                self.toolchain = toolchains[name]

        monkeypatch.setattr(cache, "Tools", Tools)
        monkeypatch.setattr(cache, "Images", lambda toolchain, **_: toolchain)
        return CliRunner().invoke(cache.command, arguments)

    return toolchains, run


def test_all_that_up_asks_for_is_written_and_arrives_whole(machines, tmp_path):
    toolchains, run = machines
    sent = run("here", "export", str(tmp_path / "all.tar"))
    assert sent.exit_code == 0, sent.output
    asked = set(toolchains["here"].asked)
    assert set(CATALOGUE) <= asked
    assert {*requirements.CLUSTER_PROGRAMS, *requirements.PLATFORM_PROGRAMS, "etcdctl", "etcdutl"} <= asked
    got = run("there", "import", str(tmp_path / "all.tar"))
    assert got.exit_code == 0, got.output
    assert got.output.rpartition("sha256 ")[2] == sent.output.rpartition("sha256 ")[2]
    known = {it.manifest.name for it in toolchains["there"].cache.entries()}
    assert known == {it.manifest.name for it in toolchains["here"].cache.entries()}


def test_every_image_that_is_built_ahead_is_in_the_file():
    ahead = {
        *requirements.CLUSTER_IMAGES,
        *requirements.PLATFORM_IMAGES,
        *requirements.DATA_IMAGES,
        *requirements.METRICS_IMAGES,
        *requirements.LOGS_IMAGES,
    }
    assert ahead <= set(CATALOGUE)


def test_a_file_that_is_none_of_ours_is_refused(machines, tmp_path):
    (tmp_path / "notes").write_text("hello" * 1000)
    done = machines[1]("there", "import", str(tmp_path / "notes"))
    assert done.exit_code == 1
    assert "cannot be read as an export of the cache" in str(done.exception)
