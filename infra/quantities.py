"""Quantities as Kubernetes writes them, as numbers. Pure."""

import re
from typing import Final

_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_SHARES: Final = {"": 1, "m": 10**3, "u": 10**6, "n": 10**9}
_QUANTITY: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>[A-Za-z]*)")


class QuantityError(ValueError):
    """A text is no quantity of what it should be."""


def millicores(quantity: str | float) -> int:
    """CPU in thousandths of a core. Raises `QuantityError` for what is no quantity."""
    found = _QUANTITY.fullmatch(str(quantity))
    if not found or found["unit"] not in _SHARES:
        raise QuantityError(f"{quantity!r} is no quantity of CPU; allowed are numbers such as 2, 0.5 and 500m")
    return round(float(found["number"]) * 1000 / _SHARES[found["unit"]])


def octets(quantity: str | float) -> int:
    """Memory or disk in bytes. Raises `QuantityError` for what is no quantity."""
    found = _QUANTITY.fullmatch(str(quantity))
    if not found or found["unit"] not in _UNITS:
        raise QuantityError(f"{quantity!r} is no quantity of bytes; allowed units are {', '.join(_UNITS)}")
    return round(float(found["number"]) * _UNITS[found["unit"]])
