import threading

import pytest

from app.core.readiness import PATIENCE, WAIT, Readiness


class World:
    """A dependency that answers, fails or hangs, and a clock that is turned by hand."""

    def __init__(self):
        self.now, self.asked = 0.0, 0
        self.error = None
        self.free = threading.Event()
        self.free.set()
        self.readiness = Readiness(self.ask, lambda: self.now)

    def ask(self):
        self.asked += 1
        self.free.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def world():
    made = World()
    yield made
    made.free.set()


def test_it_holds_as_long_as_it_is_answered(world):
    assert [world.readiness.holds() for _ in range(3)] == [True] * 3
    assert world.asked == 3


def test_what_never_worked_is_not_ready(world):
    world.error = OSError("refused")
    assert not world.readiness.holds()


def test_a_failure_is_forgiven_for_some_seconds_and_no_longer(world):
    assert world.readiness.holds()
    world.error = OSError("refused")
    world.now = PATIENCE - 0.1
    assert world.readiness.holds()
    world.now = PATIENCE + 0.1
    assert not world.readiness.holds()
    world.error = None
    assert world.readiness.holds()


def test_one_that_hangs_is_not_waited_for_and_asked_once(world):
    assert world.readiness.holds()
    world.free.clear()
    assert world.readiness.holds()
    assert world.readiness.holds()
    assert world.asked == 2
    world.now = PATIENCE + 0.1
    assert not world.readiness.holds()


def test_the_wait_is_far_below_what_a_kubelet_allows():
    assert WAIT <= 1.0
