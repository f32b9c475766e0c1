import io

from rich.console import Console

from slipway.cli.progress import Progress, clock
from slipway.toolchain import Event, EventKind


def said(*events):
    stream = io.StringIO()
    with Progress(Console(file=stream, width=200)) as progress:
        for event in events:
            progress.build_event(event)
        progress.step("all done")
    return stream.getvalue()


def test_a_build_is_told_with_what_is_left():
    text = said(
        Event(EventKind.STARTED, "etcd", 0, 90, ""),
        Event(EventKind.LINE, "etcd", 1, 89, "compiling a package"),
        Event(EventKind.FINISHED, "etcd", 61, 0, ""),
    )
    assert "building etcd (about 1:30 left)" in text
    assert "built etcd in 1:01" in text
    assert "compiling a package" not in text
    assert "all done" in text


def test_waiting_for_another_run_is_told():
    assert "etcd waits for pid 7" in said(Event(EventKind.WAITING, "etcd", 0, None, "waits for pid 7"))


def test_the_clock_shows_minutes_and_seconds():
    assert [clock(0), clock(59.9), clock(3661)] == ["0:00", "0:59", "61:01"]
