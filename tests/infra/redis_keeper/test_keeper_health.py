"""What a kubelet hears about a member: by rule, over HTTP, and of real servers that stop."""

import contextlib
import http.client
import signal
import socket
import time

import pytest

from infra.redis_keeper.decision import Member, Word
from infra.redis_keeper.health import Endpoint, Health

SERVES, NAMED = Member(master=True), Word(0, 1)


class Clock:
    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


def heard(port, path):
    """Status and text of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("own", "mine", "lacks"),
    [
        (SERVES, NAMED, ""),
        (Member(master=False, follows=1, linked=True), NAMED, ""),
        # A Sentinel that is new knows of no master: it answers, and its keeper will tell it of one.
        (SERVES, Word(None), ""),
        (Member(master=False, follows=1, linked=False), NAMED, "its Redis is neither master nor told of every write"),
        (None, NAMED, "its Redis does not answer, or still loads its data"),
        (SERVES, None, "its Sentinel does not answer"),
    ],
)
def test_ready_is_who_has_a_role_and_a_sentinel(own, mine, lacks):
    health = Health()
    health.saw(own, mine)
    assert health.lacks() == lacks


def test_nobody_is_ready_who_was_not_looked_at_or_not_lately():
    clock = Clock()
    health = Health(clock)
    assert health.lacks() == "no round yet"
    health.saw(SERVES, NAMED)
    clock.at += 9.9
    assert (health.lacks(), health.hangs()) == ("", False)
    clock.at += 0.1
    assert health.lacks() == "its keeper has not looked at it lately"
    clock.at += 49.9
    assert not health.hangs()
    clock.at += 0.1
    assert health.hangs()
    health.saw(None, None)
    assert not health.hangs(), "who finds nothing goes round all the same"


def test_it_is_said_over_http():
    clock = Clock()
    health = Health(clock)
    with Endpoint(0, health) as endpoint:
        port = endpoint.server_address[1]
        assert heard(port, "/readyz") == (503, "no round yet")
        assert heard(port, "/livez") == (200, "")
        health.saw(SERVES, NAMED)
        assert heard(port, "/readyz") == (200, "")
        clock.at += 60
        assert heard(port, "/livez") == (503, "")
        assert heard(port, "/metrics") == (404, "there are /readyz and /livez")
    with pytest.raises(ConnectionRefusedError):
        heard(port, "/livez")


def test_whoever_says_nothing_keeps_nobody_waiting():
    with Endpoint(0, Health()) as endpoint:
        port = endpoint.server_address[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert heard(port, "/livez") == (200, "")


def until(port, expected):
    answer, end = None, time.monotonic() + 20
    while answer != expected:
        assert time.monotonic() < end, f"{answer} after 20 s, not {expected}"
        time.sleep(0.1)
        with contextlib.suppress(ConnectionRefusedError):  # a keeper that has just been started
            answer = heard(port, "/readyz")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        ("redis", "its Redis does not answer, or still loads its data"),
        ("sentinel", "its Sentinel does not answer"),
    ],
)
def test_a_member_whose_server_stands_still_is_not_ready_until_it_goes_on(redis_set, kind, lacks):
    redis_set.start_all()
    replica = (redis_set.until_settled() + 1) % 3
    port = redis_set.health[replica]
    until(port, (200, ""))
    server = redis_set.processes[kind, replica]
    server.send_signal(signal.SIGSTOP)
    until(port, (503, lacks))
    assert heard(port, "/livez") == (200, "")
    server.send_signal(signal.SIGCONT)
    until(port, (200, ""))


@pytest.mark.timeout(120)
def test_members_without_a_master_are_not_ready(redis_set):
    redis_set.start_all(order=(1, 2))
    for n in (1, 2):
        until(redis_set.health[n], (503, "its Redis is neither master nor told of every write"))
    redis_set.start_all()
    for n in range(3):
        until(redis_set.health[n], (200, ""))
