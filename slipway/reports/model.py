"""What a report is: figures, bars, and a verdict that follows from the bars and from nothing else."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

NOT_RUN: Final = "not run"
_WHOLE_FROM: Final = 10_000  # from here on the digits before the point say enough
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

EXIT_CODES: Final[Mapping[str, int]] = {"pass": 0, "fail": 1, "inconclusive": 3}
"""What a measuring command exits with; 2 stays free for wrong usage, as command lines have it."""


class Verdict(StrEnum):
    """The three answers; only `PASS` lets anything go on."""

    PASS = "pass"  # noqa: S105 -- the word is an answer here, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """Exit code of the command that measured."""
        return EXIT_CODES[self.value]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bar(_Value):
    """One bar: what was measured against what, and whether it holds.

    `holds` is None when there is no answer; such a bar stays in every file, page and table.
    """

    what: Annotated[str, Field(min_length=1)]
    measured: bool | int | float | str
    bar: Annotated[str, Field(min_length=1)]
    holds: bool | None

    @classmethod
    def not_run(cls, what: str, bar: str, why: str = "") -> Self:
        """A bar that nobody measured, with the reason if there is one."""
        return cls(what=what, measured=f"{NOT_RUN}: {why}" if why else NOT_RUN, bar=bar, holds=None)

    @classmethod
    def at_most(cls, what: str, measured: float, limit: float, unit: str = "") -> Self:
        """A bar that holds while `measured` is at most `limit`."""
        return cls(what=what, measured=measured, bar=f"<= {_with_unit(limit, unit)}", holds=measured <= limit)

    @classmethod
    def at_least(cls, what: str, measured: float, limit: float, unit: str = "") -> Self:
        """A bar that holds from `limit` on."""
        return cls(what=what, measured=measured, bar=f">= {_with_unit(limit, unit)}", holds=measured >= limit)

    @classmethod
    def exactly(cls, what: str, measured: float | str, wanted: float | str, unit: str = "") -> Self:
        """A bar that holds only at one value."""
        text = wanted if isinstance(wanted, str) else _with_unit(wanted, unit)
        return cls(what=what, measured=measured, bar=text, holds=measured == wanted)


class Report(_Value):
    """One measurement, as it is kept in `build/reports/<name>.json`.

    Attributes:
        name: file name without its ending; lower case letters, digits, `.`, `_`, `-`.
        started: when the measurement began, with its time zone.
        seconds: how long it took.
        figures: what was measured, JSON of any depth; not a number and infinity are refused.
        bars: every bar of the measurement, also those that were not run.
        verdict: `fail` if any bar failed, and only then.
    """

    name: str
    started: AwareDatetime
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    figures: dict[str, JsonValue] = {}
    bars: tuple[Bar, ...]
    verdict: Verdict

    @field_validator("name")
    @classmethod
    def _name_is_a_file_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"report name {name!r} is no file name; allowed: {_NAME.pattern}")
        return name

    @field_validator("figures")
    @classmethod
    def _figures_are_finite(cls, figures: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for path, value in _numbers(figures):
            if not math.isfinite(value):
                raise ValueError(f"figure {path} is {value}; write None for what has no value")
        return figures

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        failed = [bar.what for bar in self.bars if bar.holds is False]
        if failed and self.verdict is not Verdict.FAIL:
            raise ValueError(f"verdict is {self.verdict} but these bars failed: {', '.join(failed)}")
        if not failed and self.verdict is Verdict.FAIL:
            raise ValueError("verdict is fail but no bar failed; add the bar that did")
        if self.verdict is Verdict.PASS and not any(bar.holds for bar in self.bars):
            raise ValueError("verdict is pass but no bar holds; a report without a bar proves nothing")
        return self


def derive(bars: Iterable[Bar], *, optional: Collection[str] = ()) -> Verdict:
    """The verdict that follows from the bars.

    Args:
        bars: all bars of a measurement.
        optional: `what` of those bars that may stay without an answer.

    Returns:
        `FAIL` if any bar failed; else `INCONCLUSIVE` if a bar that matters has no answer or none holds; else `PASS`.
    """
    known = tuple(bars)
    if any(bar.holds is False for bar in known):
        return Verdict.FAIL
    open_bars = [bar for bar in known if bar.holds is None and bar.what not in optional]
    if open_bars or not any(bar.holds for bar in known):
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def plain(value: object) -> str:
    """A value as people read it: thousands set apart, four digits of a fraction, `yes`, `no`, `none`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < _WHOLE_FROM else f"{value:,.0f}"
    return "none" if value is None else str(value)


def _with_unit(value: float, unit: str) -> str:
    text = f"{value:,}" if isinstance(value, int) else f"{value:,g}"
    return f"{text} {unit}" if unit else text


def _numbers(value: JsonValue, path: str = "") -> Iterable[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{path}[{index}]")
