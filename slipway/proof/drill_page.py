"""What a drill found, as figures of its report and sections of its page."""

from dataclasses import replace

from pydantic import JsonValue

from loadtests.k6 import LoadResult
from loadtests.page import sections as load_sections
from slipway.proof.bars import Taken, outages
from slipway.proof.ledger import Finding
from slipway.proof.timeline import Timeline, longest, plot
from slipway.reports import Section, rows
from slipway.reports.plots import draw


def figures(taken: Taken) -> dict[str, JsonValue]:
    """What a drill found, for the report."""
    found: dict[str, JsonValue] = {"ready after, s": [round(seconds, 1) for seconds in taken.ready_after]}
    if taken.led_after:
        found["led again after, s"] = [round(seconds, 1) for seconds in taken.led_after]
    if taken.undelivered is not None:
        found["messages not delivered"] = taken.undelivered
    if taken.own is not None:
        found["own writes read back"] = {"read": taken.own.read, "missed": taken.own.missed}
    if taken.load is not None:
        found |= _load_figures(taken.load, taken)
    if taken.book is not None:
        found["ledger"] = _book_figures(taken.book)
    return found


def sections(timeline: Timeline, taken: Taken) -> tuple[Section, ...]:
    """The plot with every fault marked, the events, and what failed."""
    events = timeline.events()
    seconds = taken.load.timeline if taken.load is not None else ()
    origin = seconds[0].at if seconds else (events[0].at.timestamp() if events else 0.0)
    lines = [
        [
            round(event.at.timestamp() - origin, 1),
            event.at.strftime("%H:%M:%S.%f")[:-3],
            event.label,
            round(event.seconds, 1) if event.seconds else "",
            "; ".join(f"{name}: {value}" for name, value in event.detail.items()),
        ]
        for event in events
    ]
    found = [
        Section("Load and faults", draw(plot(events, seconds)), "Each point is one second; what happened is marked."),
        Section("What happened", rows(["second", "time (UTC)", "what", "lasted, s", "more"], lines)),
    ]
    if taken.load is not None:
        # The drill's own plot stands above; of the load's page only the tables are wanted.
        found += [
            section for section in load_sections(replace(taken.load, timeline=())) if section.title != "Over time"
        ]
    return tuple(found)


def _load_figures(load: LoadResult, taken: Taken) -> dict[str, JsonValue]:
    return {
        "requests": load.requests,
        "failed": load.failed,
        "dropped (part of failed)": load.dropped,
        "failed without a key (apart)": load.unkeyed_failed,
        "allowed 503 (apart)": load.allowed,
        "rate per s": None if load.rate_achieved is None else round(load.rate_achieved, 1),
        "latency ms": {"p50": load.p50, "p95": load.p95, "p99": load.p99},
        "statuses": dict(load.statuses),
        "longest stall of reads, s": round(longest(load.read_gaps), 1),
        "longest stall of writes, s": round(longest(load.write_gaps), 1),
        "no write accepted after each fault, s": [round(it, 1) for it in outages(load.write_gaps, taken.changed_at)],
    }


def _book_figures(book: Finding) -> dict[str, JsonValue]:
    return {
        "written": book.written,
        "acknowledged": book.acknowledged,
        "settled by asking again": book.resolved,
        "unknown to the end": book.unknown,
        "refused": book.refused,
        "lost": len(book.lost),
        "doubled": len(book.doubled),
        "refused but there": len(book.ghosts),
    }
