"""Packages of the host, with a fake dpkg-query and a fake apt-get."""

import os

import pytest

from slipway.toolchain import debian
from slipway.toolchain.debian import Package, PackagesError, ensure, heal, install_command, missing

RUNC = Package("runc", "runs containers")
SOCAT = Package("socat", "forwards ports")
POLICY_SEEN = "policy-seen"


@pytest.fixture
def host(tmp_path):
    """A host on which runc is installed, and others can be."""

    class Host:
        query = str(tmp_path / "dpkg-query")
        apt = str(tmp_path / "apt-get")
        policy = tmp_path / "policy-rc.d"
        lock = tmp_path / "apt.lock"
        installed = tmp_path / "installed"
        calls = tmp_path / "calls"

        def ensure(self, packages, tell=lambda _line: None):
            return ensure(packages, tell, apt=self.apt, query=self.query, policy=self.policy, lock=self.lock)

    host = Host()
    host.installed.write_text("runc installed\nsocat config-files\n")
    (tmp_path / "dpkg-query").write_text(f"#!/bin/sh\ncat {host.installed}\nexit 1\n")
    (tmp_path / "apt-get").write_text(
        f"""#!/bin/sh
echo "$1 $DEBIAN_FRONTEND" >> {host.calls}
[ "$1" = update ] && exit 0
cp {host.policy} {tmp_path / POLICY_SEEN} 2>/dev/null
for last; do :; done
echo "Setting up $last"
echo "$last installed" >> {host.installed}
"""
    )
    for name in ("dpkg-query", "apt-get"):
        (tmp_path / name).chmod(0o755)
    return host


def test_only_what_is_installed_counts(host):
    assert missing([RUNC, SOCAT, SOCAT], query=host.query) == [SOCAT]
    assert missing([], query="not-there") == []


def test_a_system_without_dpkg_is_told(tmp_path):
    with pytest.raises(PackagesError, match=r"on Debian .* only\. Install by the means of this system: runc"):
        missing([RUNC], query=str(tmp_path / "dpkg-query"))


def test_nothing_is_done_when_nothing_is_missing(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert host.ensure([RUNC]) == []
    assert not host.calls.exists()


def test_what_is_missing_is_installed_and_said(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = []
    assert host.ensure([RUNC, SOCAT], told.append) == [SOCAT]
    assert host.calls.read_text() == "update noninteractive\ninstall noninteractive\n"
    assert told == ["installs socat: forwards ports", "Setting up socat"]
    assert host.ensure([RUNC, SOCAT]) == []


def test_services_cannot_start_meanwhile(host, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    host.ensure([SOCAT])
    assert (tmp_path / POLICY_SEEN).read_text().endswith("exit 101\n")
    assert not host.policy.exists()


def test_a_policy_of_the_machine_stays(host, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    host.policy.write_text("#!/bin/sh\nexit 0\n")
    host.ensure([SOCAT])
    assert (tmp_path / POLICY_SEEN).read_text() == host.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_the_policy_of_a_killed_run_is_removed(tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text(debian._FORBIDDEN)
    heal(policy)
    assert not policy.exists()
    heal(policy)


def test_who_is_not_root_is_told_what_to_run(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PackagesError) as raised:
        host.ensure([SOCAT])
    assert "socat: forwards ports" in str(raised.value)
    assert "sudo apt-get install --yes --no-install-recommends" in str(raised.value)
    assert not host.calls.exists()


def test_a_failing_apt_is_told_with_its_lines(host, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho E: no such package\nexit 100\n")
    with pytest.raises(PackagesError, match=r"(?s)socat could not be installed.*E: no such package"):
        host.ensure([SOCAT])
    assert not host.policy.exists()


def test_no_recommended_package_comes_along():
    assert "--no-install-recommends" in install_command(["a"])
