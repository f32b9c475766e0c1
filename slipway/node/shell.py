"""Running the system's programs: arguments as lists, failures with what they said."""

import subprocess
from collections.abc import Sequence

from slipway.node.errors import NodeError

DEFAULT_TIMEOUT = 60.0


def run(*arguments: str, check: bool = True, stdin: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> str:
    """Run a program to its end.

    Args:
        arguments: program and arguments.
        check: whether a non-zero exit is an error.
        stdin: text for its standard input.
        timeout: seconds until it is ended.

    Returns:
        What it wrote to standard output.

    Raises:
        NodeError: the program is missing, failed or took too long.
    """
    try:
        done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise NodeError(
            f"the program {arguments[0]!r} is not installed; `slipway doctor` tells what is missing"
        ) from None
    except subprocess.TimeoutExpired:
        raise NodeError(f"`{_shown(arguments)}` did not end within {timeout:g} s") from None
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise NodeError(f"`{_shown(arguments)}` failed with exit code {done.returncode}: {said}")
    return done.stdout


def succeeds(*arguments: str, timeout: float = DEFAULT_TIMEOUT) -> bool:
    """Whether the program exits with 0."""
    try:
        run(*arguments, timeout=timeout)
    except NodeError:
        return False
    return True


def _shown(arguments: Sequence[str]) -> str:
    return " ".join(arguments)[:300]
