"""Ports for servers that tests start."""

import socket
from contextlib import ExitStack


def free_ports(count: int, kind: int = socket.SOCK_STREAM) -> list[int]:
    """Ports of the loopback that nobody has right now, all different; `kind` SOCK_DGRAM for UDP.

    Those that one server or test needs are taken together: two calls may give the same port.
    """
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
