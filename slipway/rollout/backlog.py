"""How many workers the messages that wait ask for. Pure; nothing is remembered between two looks.

Workers come at once and go late: what counts is the peak of the last `scaleDownSeconds`, which the metrics source
knows, so another leader decides the same (docs/adr/0124-workers-by-the-peak-of-what-waits.md).
"""

import math
from typing import Final

from slipway.rollout.spec import QueueScaling

STEP: Final = 5
"""Seconds between two values that a peak is taken of: what services are scraped by. Wider steps miss short peaks."""

SHORTEST: Final = 15
"""Seconds that a peak is taken of; less may hold no value."""


def peak(scaling: QueueScaling) -> str:
    """Return the query for the most messages that have waited lately; one number, whatever labels came and went."""
    span = max(scaling.scale_down_seconds, SHORTEST)
    return f"max(max_over_time(({scaling.query})[{span}s:{STEP}s]))"


def workers(scaling: QueueScaling, *, least: int, present: int, waiting: float | None) -> int:
    """Return how many workers there shall be, between `least` and the ceiling, which never lies below it.

    Args:
        scaling: What was asked for.
        least: How many there are when nothing waits.
        present: How many there are.
        waiting: Messages, by `peak`; None if nobody knows, and then none comes and none goes.
    """
    wanted = present if waiting is None else math.ceil(waiting / scaling.messages_per_worker)
    return min(max(wanted, least), max(scaling.max_replicas, least))
