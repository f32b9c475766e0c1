"""Field types that the Rollout object shares: durations, moments, names and digests.

In Python a duration is a whole number of seconds and a moment is seconds since the epoch; in YAML they are `90s` and
RFC 3339. Only the edge (validation, serialisation, the CRD's schema) knows both forms.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

CONFIG: Final = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="ignore")
"""Every dataclass of the object is written in camelCase. Unknown fields are dropped, as the API server drops them."""

UNITS: Final = {"h": 3600, "m": 60, "s": 1}
DURATION_PATTERN: Final = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
IMAGE_PATTERN: Final = "^[^@ ]+@sha256:[0-9a-f]{64}$"


def parse_duration(value: object) -> int:
    """Return the whole seconds of `1h30m`, `90s` or a plain number of seconds.

    Raises:
        ValueError: the text is not a duration; the message names what is allowed.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    text = str(value)
    if not text or re.fullmatch(DURATION_PATTERN, text) is None:
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds, like 1h30m, 5m or 90s")
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def format_duration(seconds: int) -> str:
    """Return seconds as the YAML form: 5400 becomes `1h30m`, 0 becomes `0s`."""
    parts: list[str] = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_moment(value: object) -> float:
    """Return seconds since the epoch of an RFC 3339 text, or of a number that is seconds already.

    Raises:
        ValueError: the text is no RFC 3339 moment.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError as error:
        raise ValueError(f"{value!r} is not a moment: write RFC 3339, like 2026-01-31T12:00:00Z") from error


def format_moment(seconds: float) -> str:
    """Return the RFC 3339 form in UTC with milliseconds, which is as fine as the controller's clock matters."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    Field(ge=0),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "minLength": 2, "maxLength": 21}),
]
Moment = Annotated[
    float,
    BeforeValidator(parse_moment),
    PlainSerializer(format_moment, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Percent = Annotated[int, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1, max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Image = Annotated[str, Field(max_length=512, pattern=IMAGE_PATTERN)]
Text = Annotated[str, Field(max_length=1024)]
