"""A Sentinel that spins on an error which nobody reads: made for real, by a refusal in its own network."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.redis_keeper.links import Used, spins

SECONDS = st.floats(0.1, 1e6, allow_nan=False)


@given(SECONDS, SECONDS, st.floats(0, 1e6))
def test_it_spins_by_the_share_of_a_core_since_the_look_before(at, later, seconds):
    assert not spins(Used(at, seconds), Used(at + later, seconds + later * 0.04))
    assert spins(Used(at, seconds), Used(at + later, seconds + later * 0.2 + 1e-3 * seconds))


def test_a_first_look_and_a_sentinel_that_was_started_anew_say_nothing():
    assert not spins(None, Used(10, 9))
    assert not spins(Used(10, 9), Used(20, 1))
    assert not spins(Used(10, 9), Used(10, 99))


@pytest.fixture
def network():
    """A network of its own, whose rules no other process feels."""
    name = f"slipway-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = ("ip", "netns", "exec", name)
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def share_of_a_core(process):
    """What a process uses of a core, over a second."""

    def ticks():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, begin = ticks(), time.monotonic()
    time.sleep(1.0)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin)


def until(true, within):
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.timeout(240)
def test_connections_of_a_sentinel_that_spins_are_made_anew(tmp_path, network, make_redis_set):
    made = make_redis_set(tmp_path, inside=network, host="127.0.0.2")
    password = (made.place(0) / "auth/keeper").read_text()
    port = str(made.redis[0])
    rule = ("OUTPUT", "-d", made.host, "-p", "tcp", "--dport", port, "-j", "REJECT")

    def told(n):
        asked = ("redis-cli", "--tls", "--cacert", str(made.tls(n) / "ca.crt"), "--user", "keeper")
        asked = (*asked, "-p", str(made.sentinels[n]), "SENTINEL", "MASTER", "state")
        done = subprocess.run(
            [*network, *asked],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "REDISCLI_AUTH": password},
        )
        return done.stdout

    try:
        made.start_all()
        assert until(lambda: all("num-slaves\n2\n" in told(n) for n in range(3)), 90), made.told()
        # Member 0 has no address for a while, as a pod that is replaced, and then it is there again.
        subprocess.run([*network, "iptables", "-A", *rule], check=True)
        made.kill("redis", 0)
        time.sleep(3.0)
        made.start("redis", 0)
        subprocess.run([*network, "iptables", "-D", *rule], check=True)
        sentinels = [made.processes["sentinel", n] for n in range(3)]
        assert until(lambda: max(map(share_of_a_core, sentinels)) > 0.05, 20), (
            "no Sentinel spins: this kernel keeps no refusal for who does not read it, and links.py is not needed on it"
        )
        assert until(lambda: max(map(share_of_a_core, sentinels)) < 0.05, 60), made.told()
        logs = [(made.place(n) / "keeper.log").read_text() for n in range(3)]
        assert any("its Sentinel spins; its connections are made anew" in log for log in logs)
    finally:
        made.kill_all()
