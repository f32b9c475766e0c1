import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.stream import Gap
from slipway.proof.clock import SystemClock, TookTooLongError, wait_until
from slipway.proof.timeline import Kind, Timeline, longest, outage, plot, recovery, spans
from slipway.reports.plots import draw


def test_events_have_both_times_and_come_in_order(clock):
    timeline = Timeline(clock)
    with timeline.span("outer", Kind.FAULT, node="n1"):
        clock.wait(2)
        timeline.mark("inner")
        clock.wait(1)
    outer, inner = timeline.events()
    assert (outer.label, outer.seconds, outer.detail) == ("outer", 3.0, {"node": "n1"})
    assert (inner.at - outer.at).total_seconds() == inner.steady - outer.steady == 2.0


def test_a_span_that_raises_keeps_its_error(clock):
    timeline = Timeline(clock)
    with pytest.raises(KeyError), timeline.span("broken"):
        raise KeyError("x")
    assert timeline.events()[0].detail["error"] == "KeyError: 'x'"


def test_marks_from_many_threads_are_all_kept():
    timeline = Timeline(SystemClock())
    threads = [threading.Thread(target=lambda: [timeline.mark("x") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(timeline.events()) == 200


GAPS = st.lists(st.tuples(st.floats(0, 50), st.floats(0.5, 20)), max_size=6).map(
    lambda pairs: [Gap(start, start + length) for start, length in pairs]
)


@given(GAPS, st.floats(0, 60))
def test_recovery_is_never_negative_and_ends_with_the_last_gap(gaps, injected):
    found = recovery(gaps, injected)
    assert found >= 0
    assert all(gap.end <= injected + found + 1e-6 for gap in gaps)


@given(GAPS, st.floats(0, 60))
def test_an_outage_is_never_negative_and_no_shorter_than_the_longest_gap_after_its_fault(gaps, injected):
    found = outage(gaps, injected)
    assert found >= 0
    assert all(gap.end - max(gap.start, injected) <= found + 1e-6 for gap in gaps)


def test_recovery_counts_from_the_fault_to_the_last_success_for_good():
    gaps = [Gap(5, 6), Gap(10.5, 12), Gap(13, 14.5), Gap(40, 45)]
    assert recovery(gaps, 10.0, until=30.0) == 4.5
    assert recovery(gaps, 50.0) == 0.0


def test_an_outage_is_all_time_without_a_success_between_two_faults():
    gaps = [Gap(5, 6), Gap(10.5, 12), Gap(13, 14.5), Gap(40, 45)]
    assert outage(gaps, 10.0, until=30.0) == 3.0
    assert outage(gaps, 11.0, until=14.0) == 2.0, "a gap that the next fault finds is shared"
    assert outage(gaps, 50.0) == 0.0
    assert longest(gaps) == 5.0
    assert longest([]) == 0.0


def test_the_plot_shows_faults_and_leaves_phases_out(clock, good):
    timeline = Timeline(clock)
    with timeline.span("load before"):
        clock.wait(5)
    with timeline.span("lose node-1", Kind.FAULT):
        clock.wait(3)
    (span,) = spans(timeline.events(), good.timeline[0].at)
    assert (span.label, span.start, span.end) == ("lose node-1", 5.0, 8.0)
    svg = draw(plot(timeline.events(), good.timeline))
    assert "lose node-1" in svg
    assert "load before" not in svg


def test_a_drill_without_load_still_has_a_picture(clock):
    timeline = Timeline(clock)
    timeline.mark("started")
    assert "No load was recorded" in draw(plot(timeline.events(), ()))
    assert "<svg" in draw(plot((), ()))


def test_waiting_tells_how_long_and_gives_up_with_the_name(clock):
    assert wait_until(clock, lambda: clock.passed >= 3, what="three", within=10, every=1) == 3
    with pytest.raises(TookTooLongError, match=r"waited 10\.0 s for the moon, at most 10 s"):
        wait_until(clock, lambda: False, what="the moon", within=10, every=1)


def test_the_system_clock_goes_forward():
    clock = SystemClock()
    before, at = clock.steady(), clock.now()
    clock.wait(0.001)
    assert clock.steady() > before
    assert clock.now() >= at
    assert at.tzinfo is not None
