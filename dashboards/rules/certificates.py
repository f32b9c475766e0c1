"""When certificates inside the cluster end, as series.

The program that makes them knows it, and writes it down as rules: so nothing that runs in the cluster must read the
Secrets that hold them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from dashboards.rules.groups import Recording, RuleGroup

ENDS: Final = "certificate:expires:timestamp_seconds"
_EVERY: Final = 60


def groups(ends: Mapping[str, datetime]) -> tuple[RuleGroup, ...]:
    """One series a certificate.

    Args:
        ends: Name -> when its life ends, with a time zone.
    """
    rules = tuple(
        Recording(
            ENDS,
            f"vector({int(end.timestamp())})",
            "When a certificate's life ends, in seconds since 1970.",
            {"certificate": name},
        )
        for name, end in sorted(ends.items())
    )
    return (RuleGroup("slipway-certificates", _EVERY, rules),) if rules else ()
