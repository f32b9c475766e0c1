"""Where the ingress is reached from here: an address at once, or a name that a load balancer was just given.

k6 connects to addresses only; and the name of a new load balancer is not known everywhere at once, nor does it pass
anything on before it has found a healthy target.
"""

import ipaddress
import socket
import time
from typing import Final

import click

HTTPS: Final = 443
_PATIENCE: Final = 600.0  # seconds: a new network load balancer takes some minutes
_PAUSE: Final = 5.0  # seconds between two tries
_CONNECT: Final = 3.0  # seconds for one connection


def address_of(ingress: str, *, port: int = HTTPS, patience: float = _PATIENCE, pause: float = _PAUSE) -> str:
    """An IP address at which the ingress takes connections.

    Args:
        ingress: Address or host name; an address is taken as it is.
        port: Where it takes them.
        patience: Seconds to wait for a name to be known and to be answered at.
        pause: Seconds between two tries.

    Raises:
        click.ClickException: Nothing takes a connection there in time.
    """
    if _is_address(ingress):
        return ingress
    end = time.monotonic() + patience
    while True:
        try:
            return _connected(ingress, port)
        except OSError as error:
            if time.monotonic() >= end:
                raise click.ClickException(
                    f"the ingress {ingress} takes no connection on port {port} after {patience:g} s ({error}): look at "
                    "the load balancer's targets, and whether this machine may reach it"
                ) from error
        time.sleep(pause)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _connected(name: str, port: int) -> str:
    """The address that answered.

    Raises:
        OSError: The name is not known, or none of its addresses takes a connection.
    """
    with socket.create_connection((name, port), timeout=_CONNECT) as connection:
        return str(connection.getpeername()[0])
