"""Without registries: everything is carried over in one file, and `slipway up` runs where no packet can leave.

The network namespace has a loopback device and nothing else, and the cache is empty before the import. Packages of the
host and the virtual environment are there before, as docs/how-to/air-gap.md says. One machine, tests in the order in
which they stand.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway import node
from slipway.toolchain.images.service import find_uv

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5400)]

REPOSITORY = Path(__file__).resolve().parents[3]
NAME = "airgap"
#: No name of the cluster's own: `down` of a cluster must not take the namespace away that it runs in.
NAMESPACE = "without-a-route"
SLIPWAY = (sys.executable, "-m", "slipway")


@dataclass(frozen=True)
class Machine:
    """This machine, cut off, with a cache and a state of its own."""

    folder: Path

    def run(self, *words, seconds=3600):
        """Run a command where no packet can leave."""
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{NAMESPACE}", *words],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "SLIPWAY_STATE": str(self.folder / "state"),
                "SLIPWAY_CLUSTER": NAME,
                # Whoever asked a registry through a proxy would get out by a door of ours.
                **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), ""),
                "GOFLAGS": "-mod=readonly",
                # What `make venv` has put beside the virtual environment, not into it.
                "PATH": f"{Path(find_uv()).parent}:{os.environ['PATH']}",
                # What this machine has of modules and objects is not there either.
                "GOMODCACHE": str(self.folder / "modules"),
                "GOCACHE": str(self.folder / "objects"),
            },
            timeout=seconds,
            check=False,
            capture_output=True,
            text=True,
        )

    def slipway(self, *arguments):
        return self.run(*SLIPWAY, *arguments)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    it = Machine(tmp_path_factory.mktemp("machine"))
    try:
        assert it.run("ip", "link", "set", "lo", "up").returncode == 0
        yield it
    finally:
        it.slipway("down")
        node.destroy(NAME)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """What the machine with registries sends."""
    path = tmp_path_factory.mktemp("sent") / "slipway-cache.tar"
    done = subprocess.run(
        [*SLIPWAY, "cache", "export", str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path, done.stdout.split("sha256 ")[1].strip()


def test_nothing_can_be_reached_from_there(machine):
    assert machine.run("ip", "route").stdout == ""
    asked = machine.run(sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 443), 5)")
    assert "Network is unreachable" in asked.stderr


def test_an_empty_cache_cannot_be_filled_there(machine):
    """The control: what `up` runs on really comes out of the file."""
    asked = machine.slipway("setup", "up")
    assert asked.returncode == 1
    assert "error:" in asked.stderr


def test_what_arrives_is_what_was_sent(machine, file):
    path, digest = file
    done = machine.slipway("cache", "import", str(path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("sha256 ")[1].strip() == digest


def test_everything_comes_up_and_answers_through_haproxy(machine):
    done = machine.slipway("up", "--network", "10.126.0.0/24")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert "building" not in done.stderr
    status = machine.slipway("status")
    assert status.returncode == 0, status.stdout
