"""How the ingress is reached: by its address, or by a name that somebody answers at."""

import socket
import threading

import click
import pytest

from slipway.cli import reach
from slipway.cli.reach import address_of


@pytest.fixture
def port():
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_taken_as_it_is(address):
    assert address_of(address, patience=0) == address


def test_a_name_becomes_the_address_that_took_a_connection(port):
    assert address_of("localhost", port=port, patience=5) == "127.0.0.1"


def test_a_name_that_nobody_knows_is_told_with_what_to_look_at():
    with pytest.raises(click.ClickException, match=r"name\.invalid takes no connection on port 443 after 0 s"):
        address_of("name.invalid", patience=0)


def test_a_name_at_which_nobody_answers_is_told(port):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        closed = gone.getsockname()[1]
    assert closed != port
    with pytest.raises(click.ClickException, match="refused"):
        address_of("localhost", port=closed, patience=0)


def test_a_load_balancer_that_begins_to_answer_is_waited_for():
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        opens = threading.Timer(0.3, late.listen)
        opens.start()
        try:
            assert address_of("localhost", port=late.getsockname()[1], patience=60, pause=0.05) == "127.0.0.1"
        finally:
            opens.join()


def test_a_name_that_becomes_known_is_waited_for(monkeypatch, port):
    tries = []
    known = reach._connected

    def connected(name, number):
        tries.append(name)
        if len(tries) < 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known("localhost", number)

    monkeypatch.setattr(reach, "_connected", connected)
    assert address_of("balancer.test", port=port, patience=60, pause=0) == "127.0.0.1"
    assert tries == ["balancer.test"] * 3
