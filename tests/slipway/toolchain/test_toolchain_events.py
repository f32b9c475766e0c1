"""How long is left, and what a watcher is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.toolchain import tracker as tracker_module
from slipway.toolchain.events import Event, EventKind, Progress, ignore, remaining
from slipway.toolchain.tracker import Tracker

seconds = st.floats(0, 10_000)
positive = st.floats(0.01, 100)


@given(st.lists(seconds), seconds, seconds, positive)
def test_what_is_left_is_never_negative(pending, running, elapsed, factor):
    assert remaining(pending, running, elapsed, factor) >= 0


@given(st.lists(seconds), seconds, seconds, positive)
def test_time_that_passes_never_adds_to_what_is_left(pending, running, elapsed, factor):
    assert remaining(pending, running, elapsed + 1, factor) <= remaining(pending, running, elapsed, factor)


@given(st.integers(1, 128))
def test_before_anything_is_built_the_guess_follows_the_cores(cores):
    assert Progress().factor(cores) == pytest.approx(2 / cores)


@given(st.integers(1, 64), st.floats(100, 1000), positive)
def test_the_guess_moves_towards_what_was_seen(cores, estimate, slowness):
    guess = 2 / cores
    after = Progress().with_build(estimate, estimate * slowness).factor(cores)
    assert min(guess, slowness) <= after <= max(guess, slowness) or after == pytest.approx(guess)


@pytest.fixture
def events():
    return []


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(tracker_module, "time", clock)
    return clock


def test_a_build_is_told_from_start_to_end(events, clock):
    tracker = Tracker(events.append, cores=2)
    tracker.expect({"etcd": 30, "kubernetes": 300})
    tracker.started("etcd", "etcd v3")
    clock.now += 10
    tracker.line("etcd", "compiles")
    clock.now += 20
    tracker.finished("etcd", 30)
    assert events == [
        Event(EventKind.STARTED, "etcd", 0, 330, "etcd v3"),
        Event(EventKind.LINE, "etcd", 10, 320, "compiles"),
        Event(EventKind.FINISHED, "etcd", 30, 300, ""),
    ]


def test_a_slow_machine_makes_what_is_left_longer(events, clock):
    tracker = Tracker(events.append, cores=2)
    tracker.expect({"etcd": 30, "kubernetes": 300})
    tracker.started("etcd", "")
    clock.now += 90
    tracker.finished("etcd", 30)
    tracker.started("kubernetes", "")
    assert events[-1].remaining == pytest.approx(600)


def test_what_failed_or_is_given_up_is_not_waited_for(events, clock):
    tracker = Tracker(events.append, cores=2)
    tracker.expect({"etcd": 30, "kubernetes": 300})
    tracker.started("etcd", "")
    clock.now += 5
    tracker.failed("etcd", "disk full")
    tracker.forget(["kubernetes"])
    tracker.cached("pause")
    assert events[1] == Event(EventKind.FAILED, "etcd", 5, 325, "disk full")
    assert events[2] == Event(EventKind.CACHED, "pause", 0, 0, "")


def test_waiting_names_the_other(events):
    tracker = Tracker(events.append, cores=2)
    tracker.waiting("etcd", "process 12")
    tracker.waiting("etcd", "")
    assert [event.text for event in events] == ["waits for process 12", "waits for another run"]


def test_nobody_needs_to_listen():
    assert ignore(Event(EventKind.LINE, "etcd")) is None
