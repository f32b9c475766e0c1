"""What every dashboard must be, whoever shows it."""

import re
from collections.abc import Sequence
from typing import Final

_UID: Final = re.compile(r"slipway-[a-z-]{1,30}")


def check(uid: str, title: str, panels: Sequence[str]) -> None:
    """Refuse a dashboard that could be mixed up with another, or in which panels could be.

    Args:
        uid: What it is known by.
        title: Its name.
        panels: The titles of its panels.

    Raises:
        ValueError: The message names what is wrong.
    """
    if not _UID.fullmatch(uid):
        raise ValueError(f"the dashboard {title!r} has the uid {uid!r}; allowed is slipway-<name>")
    if twice := sorted({name for name in panels if panels.count(name) > 1}):
        raise ValueError(f"the dashboard {title!r} has two panels named {', '.join(twice)}")
