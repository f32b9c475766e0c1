"""Where packages in images come from: where this machine gets its own."""

import pytest

from slipway.toolchain.images import apt_sources
from slipway.toolchain.images.apt_sources import (
    Mirrors,
    NoMirrorError,
    apt_conf,
    mirrors,
    read_os_release,
    sources_list,
    write_mount,
)

BOOKWORM = {"ID": "debian", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}
TARGETS = """\
https://other.test/vendor/ bookworm vendor
https://mirror.test/debian/ bookworm main
https://mirror.test/debian/ bookworm-updates main
https://mirror.test/security/ bookworm-security main
https://second.test/debian/ bookworm main
a line of another form
"""


def test_the_archive_of_this_release_is_the_archive():
    assert mirrors(TARGETS, BOOKWORM, {}) == Mirrors("https://mirror.test/debian", "https://mirror.test/security")


def test_a_machine_without_security_updates_gives_none():
    assert mirrors("https://mirror.test/debian/ bookworm main\n", BOOKWORM, {}) == Mirrors("https://mirror.test/debian")


def test_the_environment_wins():
    given = {
        "SLIPWAY_DEBIAN_MIRROR": "https://mine.test/debian/",
        "SLIPWAY_DEBIAN_SECURITY_MIRROR": "https://mine.test/s/",
    }
    assert mirrors(TARGETS, BOOKWORM, given) == Mirrors("https://mine.test/debian", "https://mine.test/s")


@pytest.mark.parametrize(
    ("targets", "release"),
    [
        ("", BOOKWORM),
        (TARGETS, {"ID": "ubuntu", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Ubuntu"}),
        (TARGETS, {"ID": "debian", "VERSION_CODENAME": "trixie", "PRETTY_NAME": "Debian 13"}),
        (TARGETS, {}),
    ],
)
def test_a_machine_that_does_not_say_it_is_told_what_to_set(targets, release):
    with pytest.raises(NoMirrorError, match="Set SLIPWAY_DEBIAN_MIRROR"):
        mirrors(targets, release, {})


def test_os_release_is_read():
    text = 'ID=debian\n# note\nPRETTY_NAME="Debian 12 (bookworm)"\n\nVERSION_CODENAME=bookworm\n'
    assert read_os_release(text) == {
        "ID": "debian",
        "PRETTY_NAME": "Debian 12 (bookworm)",
        "VERSION_CODENAME": "bookworm",
    }


def test_a_release_comes_with_its_updates():
    assert sources_list("trixie", Mirrors("https://m.test/d", "https://m.test/s")) == (
        "deb https://m.test/d trixie main\n"
        "deb https://m.test/d trixie-updates main\n"
        "deb https://m.test/s trixie-security main\n"
    )
    assert "security" not in sources_list("trixie", Mirrors("https://m.test/d"))


def test_all_that_apt_writes_is_in_the_mounted_folder():
    text = apt_conf(['Acquire::http::Proxy "http://proxy.test:3128";'])
    for key in ("SourceList", "Dir::State::Lists", "Dir::Cache::Archives"):
        line = next(line for line in text.splitlines() if key in line)
        assert '"/mnt/' in line
    assert 'Acquire::http::Proxy "http://proxy.test:3128";' in text


def test_the_mount_is_made_and_keeps_its_archives(tmp_path, monkeypatch):
    certificates = tmp_path / "ca.crt"
    certificates.write_text("authority")
    monkeypatch.setattr(apt_sources, "_CERTIFICATES", (str(tmp_path / "missing"), str(certificates)))
    folder = tmp_path / "mount"
    write_mount(folder, "trixie", Mirrors("https://m.test/d"))
    (folder / "archives/kept.deb").write_text("deb")
    (folder / "packages.txt").write_text("of the build before")
    write_mount(folder, "trixie", Mirrors("https://m.test/d"))
    assert (folder / "certificates.crt").read_text() == "authority"
    assert (folder / "archives/kept.deb").exists()
    assert not (folder / "packages.txt").exists()


def test_a_machine_without_apt_has_no_targets(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert apt_sources._index_targets() == ""
    assert apt_sources.host_proxies() == []
