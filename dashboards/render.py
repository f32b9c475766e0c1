"""Draws dashboards without a Grafana: a page each, the same panels from the same queries."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from dashboards.grafana.model import Dashboard, Kind, Unit
from dashboards.live import Drawn
from slipway.reports.plots import VERSIONS, Line, Plot, draw
from slipway.reports.plots import Panel as Axes

#: Unit -> up to which highest value, what stands beside the axis, what values are multiplied by, and the lowest top of
#: the axis.
_SHOWN: Final[dict[Unit, tuple[tuple[float, tuple[str, float, float]], ...]]] = {
    Unit.PER_SECOND: ((math.inf, ("per second", 1.0, 1.0)),),
    Unit.SHARE: ((math.inf, ("%", 100.0, 1.0)),),
    Unit.SECONDS: (
        (2, ("ms", 1000.0, 5.0)),
        (120, ("s", 1.0, 1.0)),
        (7200, ("min", 1 / 60, 1.0)),
        (172_800, ("h", 1 / 3600, 1.0)),
        (math.inf, ("days", 1 / 86_400, 1.0)),
    ),
    Unit.BYTES: ((2**31, ("MiB", 1 / 2**20, 1.0)), (math.inf, ("GiB", 1 / 2**30, 1.0))),
    Unit.CORES: ((math.inf, ("cores", 1.0, 0.05)),),
    Unit.COUNT: ((math.inf, ("", 1.0, 1.0)),),
}
#: More lines than this cannot be told apart; those with the highest last value are drawn.
MOST_LINES: Final = 12
#: Minutes back that a served page offers.
RANGES: Final = (5, 15, 30, 120, 720)
#: Of a picture by itself: a page gives its own ink, where none is it is dark on white.
_ALONE: Final = 'style="background:#fff;color:#1d2026;font-family:sans-serif"'
_PLACES: Final = re.compile(r' (?:d|x|y)="[^"]*"')
_FRACTION: Final = re.compile(r"(\d\.\d)\d+")


def _scale(found: Drawn) -> tuple[str, float, float]:
    """What stands beside the axis, what values are multiplied by, and the lowest top: a lead time is not read in ms."""
    highest = max((value for _, series in found.lines for _, value in series.values), default=0.0)
    return next(shown for most, shown in _SHOWN[found.panel.unit] if highest < most or most == math.inf)


def number(found: Drawn) -> str:
    """The last values of a panel, as text."""
    unit, factor, _ = _scale(found)
    return " · ".join(f"{name}: {it.values[-1][1] * factor:.4g} {unit}".strip() for name, it in found.lines)


def axes(found: Drawn, start: float, seconds: float = 60.0) -> Axes:
    """A panel as axes of a plot.

    Args:
        found: the panel with its values.
        start: Unix time at which the time axis begins.
        seconds: of one unit of the time axis.
    """
    unit, factor, floor = _scale(found)
    limit = None if found.panel.limit is None else found.panel.limit * factor
    shown = sorted(found.lines, key=lambda it: it[1].values[-1][1], reverse=True)[:MOST_LINES]
    lines = [
        Line(
            name,
            [(at - start) / seconds for at, _ in series.values],
            [value * factor for _, value in series.values],
            next((VERSIONS[word] for word in name.split() if word in VERSIONS), None),
        )
        for name, series in sorted(shown, key=lambda it: it[0])
    ]
    return Axes(found.panel.title, unit, lines, floor=floor, limit=limit)


def picture(found: Sequence[Drawn], start: float) -> str:
    """The lines of a dashboard above each other as one SVG that needs nothing else: small enough for a repository.

    Args:
        found: its panels with their values; numbers are no pictures, and dead ones show nothing.
        start: Unix time from which on it shows.

    Returns:
        Nothing if no panel has lines.
    """
    shown = [axes(it, start) for it in found if it.panel.kind is Kind.LINES and it.lines]
    if not shown:
        return ""
    # A tenth of a point is finer than anybody sees.
    svg = _PLACES.sub(lambda it: _FRACTION.sub(r"\1", it[0]), draw(Plot(shown, x_label="minutes")))
    return svg.replace("<svg", f"<svg {_ALONE}", 1) + "\n"


def page(
    board: Dashboard,
    found: Sequence[Drawn],
    *,
    start: float,
    end: float,
    others: Sequence[Dashboard] = (),
    ending: str = ".html",
    refresh: int | None = None,
) -> str:
    """A whole dashboard as one HTML page that needs nothing else.

    Args:
        board: which one.
        found: its panels with their values.
        start: Unix time from which on it shows.
        end: Unix time up to which it shows.
        others: dashboards to link to.
        ending: what stands behind a dashboard's uid in a link.
        refresh: seconds after which a browser asks again; then it also offers other times.
    """
    moment = datetime.fromtimestamp(end, tz=UTC)
    return _template().render(
        board=board,
        found={it.panel.title: it for it in found},
        number=number,
        picture=lambda it: Markup(draw(Plot([axes(it, start)], x_label="minutes"))),  # noqa: S704 -- drawn by us from numbers and escaped labels
        others=others,
        ending=ending,
        refresh=refresh,
        ranges=RANGES if refresh else (),
        when=f"{(end - start) / 60:.0f} minutes until {moment:%Y-%m-%d %H:%M} UTC.",
    )


def _coded(text: str) -> Markup:
    """A text in which what stands between backticks is code, as Grafana shows it."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    return Markup().join((code if number % 2 else plain).format(it) for number, it in enumerate(text.split("`")))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("dashboards"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = _coded
    return environment.get_template("board.html.j2")
