"""Standard output, as tables are printed on it."""

import sys
from typing import Final

from rich.console import Console

_WIDE: Final = 200  # characters: no table is wider


def console() -> Console:
    """The terminal; in a file or a pipe nothing is cut to a terminal's width."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)
