"""What happened in a rollout, told afterwards: a recording of its states becomes a report with plots.

Only the client imports this: it needs matplotlib, which the controller's image does not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from slipway.reports import Bar, Report, Section, derive, rows
from slipway.reports.plots import VERSIONS, Line, Panel, Plot, Span, draw
from slipway.rollout.client import ExitCode
from slipway.rollout.observation import Rollout
from slipway.rollout.status import MetricState, Observed, Phase, Revision


@dataclass(frozen=True, slots=True)
class Moment:
    """One state of the rollout, at the second it was seen."""

    at: float
    rollout: Rollout


@dataclass
class Recording:
    """Every state that was seen, in order."""

    moments: list[Moment] = field(default_factory=list[Moment])

    def note(self, rollout: Rollout, now: float) -> None:
        """Keep one state."""
        self.moments.append(Moment(now, rollout))


def report(recording: Recording, *, image: str, outcome: ExitCode, name: str = "rollout") -> Report:
    """Return the report of a recorded rollout; it passes only when the version was promoted.

    Raises:
        ValueError: nothing was recorded.
    """
    if not recording.moments:
        raise ValueError(f"the rollout of {image} has no recorded state: follow it at least once")
    first, last = recording.moments[0], recording.moments[-1]
    holds = {ExitCode.PROMOTED: True, ExitCode.ROLLED_BACK: False}.get(outcome)
    status = last.rollout.status
    bars = [
        Bar(what="the version is promoted", measured=status.phase.value, bar="promoted", holds=holds),
        Bar(
            what="every metric of the last judged step holds",
            measured=", ".join(f"{metric.name}: {metric.verdict.value}" for metric in _judged(recording)) or "not run",
            bar="pass",
            holds=_all_hold(recording),
        ),
    ]
    return Report(
        name=f"{name}-{last.rollout.namespace}-{last.rollout.name}",
        started=datetime.fromtimestamp(first.at, tz=UTC),
        seconds=last.at - first.at,
        figures={
            "image": image,
            "phase": status.phase.value,
            "reason": status.reason.value,
            "message": status.message,
            "seconds in each phase": _phases(recording),
        },
        bars=tuple(bars),
        verdict=derive(bars, optional=(bars[1].what,)),
    )


def _judged(recording: Recording) -> Sequence[MetricState]:
    return next((found.rollout.status.metrics for found in reversed(recording.moments) if _metrics(found)), ())


def _metrics(moment: Moment) -> bool:
    return bool(moment.rollout.status.metrics)


def _all_hold(recording: Recording) -> bool | None:
    verdicts = {metric.verdict.value for metric in _judged(recording)}
    if "fail" in verdicts:
        return False
    return True if verdicts == {"pass"} else None


def _phases(recording: Recording) -> dict[str, Any]:
    spent: dict[str, Any] = {}
    for before, after in zip(recording.moments, recording.moments[1:], strict=False):
        phase = before.rollout.status.phase.value
        spent[phase] = round(spent.get(phase, 0.0) + after.at - before.at, 1)
    return spent


def sections(recording: Recording, changes: Mapping[str, tuple[str, str]] | None = None) -> tuple[Section, ...]:
    """Return the plots and tables for the report's page.

    Args:
        recording: what was seen.
        changes: what differs between the two revisions, field -> (before, after).
    """
    found = [
        Section(
            "Weights",
            draw(Plot((_weights(recording),), spans=_spans(recording))),
            "Share of the requests each colour gets, read back from the routers.",
        ),
        Section("What happened", rows(("second", "phase", "what"), _events(recording))),
    ]
    values = _values(recording)
    if values:
        found.insert(1, Section("Metrics", draw(Plot(values, spans=_spans(recording)))))
    found.append(
        Section(
            "Verdicts",
            rows(("metric", "verdict", "value", "stable", "samples", "reason"), _verdicts(recording)),
            "The counts of the last judged step.",
        )
    )
    lines = [(field, before, after) for field, (before, after) in (changes or {}).items()]
    if lines:
        found.append(Section("What changed", rows(("field", "before", "after"), lines)))
    return tuple(found)


def _seconds(recording: Recording) -> list[float]:
    return [found.at - recording.moments[0].at for found in recording.moments]


def _held(observed: Sequence[Observed | None]) -> list[Observed | None]:
    """The weights at each moment: what was read back last holds until the next reading."""
    found: list[Observed | None] = []
    for entry in observed:
        found.append(entry if entry is not None or not found else found[-1])
    return found


def _weights(recording: Recording) -> Panel:
    seconds = _seconds(recording)
    observed = _held([found.rollout.status.observed for found in recording.moments])
    blue = [None if found is None else found.blue for found in observed]
    green = [None if found is None else found.green for found in observed]
    lines = (
        Line("blue", seconds, blue, VERSIONS["blue"]),
        Line("green", seconds, green, VERSIONS["green"]),
    )
    return Panel("Share of the requests", "%", lines, floor=100)


def _values(recording: Recording) -> tuple[Panel, ...]:
    names = dict.fromkeys(metric.name for found in recording.moments for metric in found.rollout.status.metrics)
    seconds = _seconds(recording)
    panels: list[Panel] = []
    for name in names:
        states = [
            next((metric for metric in found.rollout.status.metrics if metric.name == name), None)
            for found in recording.moments
        ]
        values = [None if state is None else state.value for state in states]
        stable = [None if state is None else state.stable_value for state in states]
        panels.append(
            Panel(name, "", (Line("candidate", seconds, values), Line("stable", seconds, stable)), floor=0.001)
        )
    return tuple(panels)


def _spans(recording: Recording) -> tuple[Span, ...]:
    spans: list[Span] = []
    begin = recording.moments[0].at
    for before, after in zip(recording.moments, recording.moments[1:], strict=False):
        phase = before.rollout.status.phase
        if phase in {Phase.ROLLING_BACK, Phase.PAUSED, Phase.SOAK}:
            spans.append(Span(phase.value, before.at - begin, after.at - begin))
    return tuple(spans)


def _events(recording: Recording) -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = []
    said = ("", "")
    for found in recording.moments:
        status = found.rollout.status
        if (status.phase.value, status.message) != said:
            said = (status.phase.value, status.message)
            lines.append((round(found.at - recording.moments[0].at, 1), *said))
    return lines


def _verdicts(recording: Recording) -> list[tuple[object, ...]]:
    return [
        (
            metric.name,
            metric.verdict.value,
            "-" if metric.value is None else metric.value,
            "-" if metric.stable_value is None else metric.stable_value,
            "-" if metric.samples is None else metric.samples,
            metric.message,
        )
        for metric in _judged(recording)
    ]


def changed(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> dict[str, tuple[str, str]]:
    """Return what differs between two pod templates (or any plain data), field -> (before, after)."""
    found: dict[str, tuple[str, str]] = {}
    for key in dict.fromkeys((*before, *after)):
        old, new, name = before.get(key), after.get(key), f"{path}.{key}" if path else str(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= changed(old, new, name)
        elif isinstance(old, list) and isinstance(new, list):
            found |= changed(_numbered(old), _numbered(new), name)
        elif old != new:
            found[name] = ("-" if old is None else str(old), "-" if new is None else str(new))
    return found


def _numbered(entries: Sequence[Any]) -> dict[str, Any]:
    return {str(number): entry for number, entry in enumerate(entries)}


def revisions(recording: Recording) -> tuple[Revision | None, Revision | None]:
    """Return the version that was replaced and the one that was tried, as far as they were seen."""
    for found in recording.moments:
        status = found.rollout.status
        if status.candidate is not None:
            return status.stable, status.candidate
    return None, None
