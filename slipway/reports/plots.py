"""Plots for reports: inline SVG that takes the page's text colour, drawn without pyplot and its global figures.

Import this where a page is made, not on the way to it: matplotlib takes a second to load.
"""

import io
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: The two versions of a rollout, wherever they are drawn.
VERSIONS: Final = {"blue": "#2f6fde", "green": "#2a9d78"}
PALETTE: Final = ("#2f6fde", "#e07b1a", "#c43d7a", "#2a9d78", "#7a5bd0", "#8a8f98")
FAILED: Final = "#d13b30"
_INK: Final = "#010203"  # a colour that nothing else uses: the SVG gets `currentColor` in its place
_SALT: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "slipway",
    "font.size": 10.0,
    "font.family": "sans-serif",
}
_NAMES_ROOM: Final = 1.45  # of the highest value: the names of what happened stand above the lines
_MANY: Final = 40  # marks, above which their lines would hide what is drawn
_HEIGHTS: Final = 3  # at which names may stand
_STYLES: Final = ("-", "--", ":")
_NEAR: Final = 0.5  # of a limit: from there on it is drawn
_OVER: Final = 1.05  # of a limit: up to where the axis goes at least
_LETTER: Final = 0.0068  # width of a letter of a name, as a share of the axis
_LOCK = threading.Lock()  # rc_context changes settings of the whole process while it is open


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `y` over `x`; None leaves a gap, because nothing measured is not zero."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: str | None = None
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that is shaded and named, in the unit of x; `end` equal to `start` draws a thin line."""

    label: str
    start: float
    end: float
    colour: str = "#8a8f98"


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes.

    Attributes:
        title: stands above it, left.
        unit: of y.
        lines: drawn in order, colours from `PALETTE` unless they name their own.
        stacked: draw the lines as areas on top of each other.
        floor: lowest top of the y axis, so that nothing looks like a lot.
        limit: from where on it is bad: a line, as soon as values come near it; before, it would flatten them.
    """

    title: str
    unit: str
    lines: Sequence[Line]
    stacked: bool = False
    floor: float = 1.0
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels above each other on one time axis, with what happened marked across all of them."""

    panels: Sequence[Panel]
    spans: Sequence[Span] = field(default_factory=tuple)
    x_label: str = "seconds"


def draw(plot: Plot) -> str:
    """The plot as `<svg>` text for a `Section`.

    Raises:
        ValueError: a plot without panels, or a line whose x and y differ in length.
    """
    if not plot.panels:
        raise ValueError("a plot needs at least one panel")
    for line in (line for panel in plot.panels for line in panel.lines):
        if len(line.x) != len(line.y):
            raise ValueError(f"line {line.label!r} has {len(line.x)} x and {len(line.y)} y")
    with _LOCK, mpl.rc_context(_SALT):
        figure = Figure(figsize=(10.4, 0.55 + 2.1 * len(plot.panels)), layout="constrained")
        figure.patch.set_alpha(0.0)
        axes: list[Any] = list(figure.subplots(len(plot.panels), 1, sharex=True, squeeze=False)[:, 0])
        for axis, panel in zip(axes, plot.panels, strict=True):
            named = bool(plot.spans) and axis is axes[0]
            _panel(axis, panel, headroom=_NAMES_ROOM if named else 1.0)
            _spans(axis, plot.spans, named=named)
        axes[-1].set_xlabel(plot.x_label, color=_INK)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return _inline(buffer.getvalue())


def _looks(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Colour and style of each line: nobody takes a colour that another one names, and those of one are told apart."""
    named = {line.colour for line in lines}
    others = cycle([colour for colour in PALETTE if colour not in named])
    found: list[tuple[str, str]] = []
    drawn: Counter[str] = Counter()
    for line in lines:
        colour = line.colour or next(others)
        found.append((colour, _STYLES[drawn[colour] % len(_STYLES)]))
        drawn[colour] += 1
    return found


def _panel(axis: Axes, panel: Panel, *, headroom: float) -> None:
    axis.set_title(panel.title, loc="left", fontsize=11, color=_INK, fontweight="bold")
    axis.set_ylabel(panel.unit, color=_INK)
    axis.patch.set_alpha(0.0)
    axis.grid(visible=True, axis="y", color="#8a8f98", alpha=0.25, linewidth=0.8)
    for name, spine in axis.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color("#8a8f98")
    axis.tick_params(colors=_INK, length=3)
    looks = _looks(panel.lines)
    if panel.stacked and panel.lines:
        values = [[value or 0.0 for value in line.y] for line in panel.lines]
        labels = [line.label for line in panel.lines]
        axis.stackplot(panel.lines[0].x, values, labels=labels, colors=[colour for colour, _ in looks], linewidth=0)
    else:
        for line, (colour, style) in zip(panel.lines, looks, strict=True):
            values_of = [float("nan") if value is None else value for value in line.y]
            axis.plot(
                line.x,
                values_of,
                label=line.label,
                color=colour,
                linestyle=style,
                linewidth=1.5,
                marker="o" if len(line.x) == 1 else "",
            )
            if line.filled:
                axis.fill_between(line.x, values_of, color=colour, alpha=0.15, linewidth=0)
    top = axis.get_ylim()[1]
    if panel.limit is not None and top >= _NEAR * panel.limit:
        axis.axhline(panel.limit, label="limit", color=FAILED, linewidth=1.0, linestyle="--")
        top = max(top, panel.limit * _OVER)
    axis.set_ylim(bottom=0, top=max(top, panel.floor) * headroom)
    axis.margins(x=0.01)
    if panel.lines:
        legend = axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, labelcolor=_INK, fontsize=9)
        legend.set_in_layout(True)


def _spans(axis: Axes, spans: Sequence[Span], *, named: bool) -> None:
    left, right = axis.get_xlim()
    taken = [-1.0] * _HEIGHTS  # up to where, as a share of the axis, a name stands at each height
    strength = 0.25 if len(spans) > _MANY else 1.0
    for span in spans:
        if span.end > span.start:
            axis.axvspan(span.start, span.end, color=span.colour, alpha=0.14, linewidth=0)
        axis.axvline(span.start, color=span.colour, linewidth=1.0, linestyle="--", alpha=strength)
        at = (span.start - left) / (right - left)
        height = next((number for number, end in enumerate(taken) if end < at), None)
        if not named or height is None:  # no room: the table below says it too
            continue
        taken[height] = at + _LETTER * (len(span.label) + 2)
        axis.text(
            span.start,
            0.99 - 0.10 * height,
            f" {span.label}",
            transform=axis.get_xaxis_transform(),
            fontsize=8.5,
            color=_INK,
            va="top",
        )


def _inline(document: str) -> str:
    """The `<svg>` element alone, in the page's ink and font, with no id that nothing points to."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace(_INK, "currentColor").replace("font: 10px 'sans-serif'", "font: 10px sans-serif")
    used = set(re.findall(r'#([A-Za-z0-9_.-]+)["\')]', svg))
    return re.sub(r' id="([^"]+)"', lambda found: found.group(0) if found.group(1) in used else "", svg)
