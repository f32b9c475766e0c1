"""Ways from this machine to a port inside of a cluster, each for as long as it is used."""

import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from slipway.node.errors import NodeError


@contextmanager
def forwarded(kubectl: Sequence[str], what: str, port: int, scheme: str = "http") -> Generator[str]:
    """Open a way.

    Args:
        kubectl: The program with its kubeconfig and namespace.
        what: A pod, or `service/NAME`.
        port: The port there.
        scheme: `http` or `https`.

    Yields:
        The URL at which it is reached.

    Raises:
        NodeError: There is no way.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        local = free.getsockname()[1]
    command = [*kubectl, "port-forward", what, f"{local}:{port}"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 -- asked for in the line above
            if "Forwarding" not in (line := process.stdout.readline()):
                raise NodeError(f"no way to port {port} of {what}: {line.strip()}")
            yield f"{scheme}://localhost:{local}"
        finally:
            process.terminate()
